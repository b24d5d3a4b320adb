"""Asks auth who calls, for services whose admin RPCs are few."""

from typing import Any

import grpc

from meshgate.runtime.credentials import Credential
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.permissions import Caller
from meshgate.runtime.status import error_of, error_of_call
from meshgate.v1 import auth_service_pb2 as pb
from meshgate.v1 import auth_service_pb2_grpc as rpc
from meshgate.v1 import principal_pb2

_BATCH_SECONDS = 2.0


class RemoteAuthenticator:
    """An `Authenticator` over the contract of auth. It keeps nothing."""

    def __init__(self, channel: Any) -> None:
        self._stub: Any = rpc.AuthServiceStub(channel)

    async def authenticate(self, credential: Credential, method: str, context: Any) -> Caller:
        item = pb.AuthenticateItem(
            credential=credential.text, client_address=credential.client_address, method=method
        )
        seconds = Deadline.from_context(context).seconds_left(_BATCH_SECONDS)
        # Fail closed: without an answer nobody is let in.
        try:
            response = await self._stub.BatchAuthenticate(
                pb.BatchAuthenticateRequest(items=[item]), timeout=seconds
            )
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, "auth") from None
        [result] = response.results
        if result.HasField("refusal"):
            raise error_of(result.refusal, "auth")
        if not result.HasField("principal"):
            raise GatewayError("internal error")
        return _caller(result.principal)


def _caller(principal: principal_pb2.Principal) -> Caller:
    return Caller(
        principal_id=principal.principal_id,
        organization_id=principal.organization_id,
        team_id=principal.team_id,
        roles=tuple(principal.roles),
        allowed_models=tuple(principal.allowed_models),
    )
