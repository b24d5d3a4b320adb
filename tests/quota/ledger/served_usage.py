"""UsageService over a binding, with callers that a test makes up."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import pytest
from bindings import BINDINGS

from meshgate.quota.ledger.keeper import Backlog
from meshgate.quota.usage_servicer import Ledger, UsageServicer
from meshgate.runtime.authorization import Authorizer
from meshgate.runtime.errors import CredentialInvalidError
from meshgate.runtime.page_tokens import SecretSeal
from meshgate.runtime.permissions import Caller
from meshgate.runtime.service import Implementation
from meshgate.runtime.status import error_of_call
from meshgate.v1 import usage_service_pb2 as pb
from meshgate.v1.usage_service_pb2_grpc import UsageServiceStub

NOW = int(datetime(2026, 11, 7, tzinfo=UTC).timestamp()) * 1_000_000
"""When all of its questions are asked, in microseconds."""
DESCRIPTOR = pb.DESCRIPTOR.services_by_name["UsageService"]
CALLERS = {
    "root": Caller("admin", "default", roles=("admin",)),
    "boss": Caller("boss", "org_1", roles=("organization-admin",)),
    "viewer": Caller("viewer", "org_1", roles=("viewer",)),
    "lead": Caller("lead", "org_1", "team_1_1", roles=("team-admin",)),
    "nobody": Caller("nobody", "org_1"),
}


class Authenticator:
    async def authenticate(self, credential, _method, _context):
        if credential.text not in CALLERS:
            raise CredentialInvalidError("unknown")
        return CALLERS[credential.text]


class Api:
    def __init__(self, channel):
        self._stub = UsageServiceStub(channel)

    async def call(self, rpc, request, caller="root"):
        metadata = (("authorization", f"Bearer {caller}"),)
        return await getattr(self._stub, rpc)(request, metadata=metadata, timeout=20)

    async def query(self, caller="root", **fields):
        return await self.call("QueryUsage", pb.QueryUsageRequest(**fields), caller)

    async def records(self, caller="root", **fields):
        return await self.call("ListUsageRecords", pb.ListUsageRecordsRequest(**fields), caller)

    async def refused(self, rpc, request, caller="root"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(rpc, request, caller)
        return error_of_call(caught.value, "quota")


async def waiting():
    return Backlog(3, 2.5)


def answering(reports, backlog=waiting):
    """A ledger that answers reports alone."""
    return Ledger(reports, None, None, None, None, backlog)


@asynccontextmanager
async def served(binding, ledger, secret=b"secret", now=NOW):
    servicer = UsageServicer(ledger, SecretSeal(secret, "test"), lambda: now)
    authorizer = Authorizer(Authenticator())
    implementation = Implementation(DESCRIPTOR, servicer, authorizer=authorizer)
    async with BINDINGS[binding]([implementation]) as channel:
        yield Api(channel)
