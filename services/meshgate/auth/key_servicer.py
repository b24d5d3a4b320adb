"""KeyService: messages to the keys that a caller reaches, and back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from meshgate.auth.administration import AdministeredKeys
from meshgate.auth.directory import KeyState, Query
from meshgate.auth.record_fields import changing, fields_of, timedelta_of
from meshgate.auth.record_messages import key_message, key_record
from meshgate.auth.records import Key
from meshgate.runtime.authorization import caller
from meshgate.v1 import key_service_pb2 as pb
from meshgate.v1.key_service_pb2_grpc import KeyServiceServicer

CHANGEABLE = (
    "name",
    "roles",
    "allowed_models",
    "allowed_networks",
    "expire_time",
    "tags",
    "limits",
)
FIXED = ("organization_id", "team_id", "user_id")
EVERY_MODEL = ("*",)


class KeyServicer(KeyServiceServicer):
    """Administers keys."""

    def __init__(self, keys: AdministeredKeys, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._now = now

    async def CreateKey(self, request: pb.CreateKeyRequest, context: Any) -> pb.CreateKeyResponse:
        with fields_of("key"):
            record = key_record(request.key)
            if not record.allowed_models:
                record = replace(record, allowed_models=EVERY_MODEL)
            issued = await self._keys.issue(caller(), record)
        return pb.CreateKeyResponse(key=self._message(issued.key), secret=issued.credential)

    async def GetKey(self, request: pb.GetKeyRequest, context: Any) -> pb.GetKeyResponse:
        record = await self._keys.get(caller(), request.id)
        return pb.GetKeyResponse(key=self._message(record))

    async def ListKeys(self, request: pb.ListKeysRequest, context: Any) -> pb.ListKeysResponse:
        query = Query(
            organization_id=request.organization_id,
            team_id=request.team_id,
            user_id=request.user_id,
            name_prefix=request.name_prefix,
            key_state=KeyState.ANY if request.show_revoked else KeyState.LIVE,
        )
        page = await self._keys.list(caller(), query, request.page_size, request.page_token)
        return pb.ListKeysResponse(
            keys=[self._message(record) for record in page.records],
            next_page_token=page.next_page_token,
        )

    async def UpdateKey(self, request: pb.UpdateKeyRequest, context: Any) -> pb.UpdateKeyResponse:
        key = request.key
        with fields_of("key"):
            wanted = key_record(key)
        change = changing(key, request.update_mask, wanted, CHANGEABLE, FIXED)
        with fields_of("key"):
            record = await self._keys.update(caller(), key.id, change, key.etag)
        return pb.UpdateKeyResponse(key=self._message(record))

    async def DeleteKey(self, request: pb.DeleteKeyRequest, context: Any) -> pb.DeleteKeyResponse:
        await self._keys.delete(caller(), request.id, request.etag)
        return pb.DeleteKeyResponse()

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: Any) -> pb.RevokeKeyResponse:
        record = await self._keys.revoke(caller(), request.id, request.etag)
        return pb.RevokeKeyResponse(key=self._message(record))

    async def RotateKey(self, request: pb.RotateKeyRequest, context: Any) -> pb.RotateKeyResponse:
        overlap = timedelta_of(request.overlap, "overlap")
        issued = await self._keys.rotate(caller(), request.id, overlap, request.etag)
        return pb.RotateKeyResponse(key=self._message(issued.key), secret=issued.credential)

    def _message(self, record: Key) -> pb.Key:
        return key_message(record, self._now())
