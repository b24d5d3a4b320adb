"""UserService: messages to the users that a caller reaches, and back."""

from typing import Any

from meshgate.auth.administration import AdministeredRecords
from meshgate.auth.directory import Query
from meshgate.auth.record_fields import changing, fields_of
from meshgate.auth.record_messages import user_message, user_record
from meshgate.auth.records import User
from meshgate.runtime.authorization import caller
from meshgate.v1 import user_service_pb2 as pb
from meshgate.v1.user_service_pb2_grpc import UserServiceServicer

CHANGEABLE = ("name", "email", "roles", "team_ids", "tags", "limits")
FIXED = ("organization_id",)


class UserServicer(UserServiceServicer):
    """Administers users."""

    def __init__(self, users: AdministeredRecords[User]) -> None:
        self._users = users

    async def CreateUser(
        self, request: pb.CreateUserRequest, context: Any
    ) -> pb.CreateUserResponse:
        with fields_of("user"):
            record = await self._users.create(caller(), user_record(request.user))
        return pb.CreateUserResponse(user=user_message(record))

    async def GetUser(self, request: pb.GetUserRequest, context: Any) -> pb.GetUserResponse:
        record = await self._users.get(caller(), request.id)
        return pb.GetUserResponse(user=user_message(record))

    async def ListUsers(self, request: pb.ListUsersRequest, context: Any) -> pb.ListUsersResponse:
        query = Query(
            organization_id=request.organization_id,
            team_id=request.team_id,
            name_prefix=request.name_prefix,
        )
        page = await self._users.list(caller(), query, request.page_size, request.page_token)
        return pb.ListUsersResponse(
            users=[user_message(record) for record in page.records],
            next_page_token=page.next_page_token,
        )

    async def UpdateUser(
        self, request: pb.UpdateUserRequest, context: Any
    ) -> pb.UpdateUserResponse:
        user = request.user
        with fields_of("user"):
            wanted = user_record(user)
        change = changing(user, request.update_mask, wanted, CHANGEABLE, FIXED)
        with fields_of("user"):
            record = await self._users.update(caller(), user.id, change, user.etag)
        return pb.UpdateUserResponse(user=user_message(record))

    async def DeleteUser(
        self, request: pb.DeleteUserRequest, context: Any
    ) -> pb.DeleteUserResponse:
        await self._users.delete(caller(), request.id, request.etag)
        return pb.DeleteUserResponse()
