"""The admin API over records in SQLite, with callers that a test makes up."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import grpc
from bindings import BINDINGS

from meshgate.auth.admin_api import admin_api
from meshgate.auth.credentials import Peppers
from meshgate.auth.directory import Directory
from meshgate.auth.principals import Principal, PrincipalKind, unknown
from meshgate.auth.sql.opening import opened
from meshgate.auth.sql.schema import SCHEMA
from meshgate.config.snapshot import Snapshot
from meshgate.config.source import FixedSource
from meshgate.database.migration import migrate
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.status import error_of_call
from meshgate.v1.balance_service_pb2_grpc import BalanceServiceStub
from meshgate.v1.key_service_pb2_grpc import KeyServiceStub
from meshgate.v1.organization_service_pb2_grpc import OrganizationServiceStub
from meshgate.v1.team_service_pb2_grpc import TeamServiceStub
from meshgate.v1.user_service_pb2_grpc import UserServiceStub

NOW = datetime(2027, 1, 1, tzinfo=UTC)
PEPPER = "a pepper that is long enough"


_STUBS = (
    KeyServiceStub,
    TeamServiceStub,
    UserServiceStub,
    OrganizationServiceStub,
    BalanceServiceStub,
)


class Callers:
    """A `PrincipalStore` of whoever a test says there is."""

    def __init__(self) -> None:
        self.principals = {"root": Principal("admin", PrincipalKind.ADMIN, roles=("admin",))}

    def add(self, name: str, *roles: str, models: tuple[str, ...] = ("*",), **places: str) -> str:
        """A caller by its credential, which is its name."""
        self.principals[name] = Principal(
            name, PrincipalKind.KEY, roles=roles, allowed_models=models, **places
        )
        return name

    async def find(self, presented: Any) -> Any:
        return [self.principals.get(each.credential) or unknown() for each in presented]


class Api:
    """The services, as a client has them."""

    def __init__(self, channel: Any, callers: Callers, directory: Directory, clock: Any) -> None:
        self.callers = callers
        self.directory = directory
        self.clock = clock
        self._stubs = [stub(channel) for stub in _STUBS]

    async def call(self, rpc: str, request: Any, caller: str = "root") -> Any:
        """The answer of an RPC.

        Raises:
            GatewayError: The one that the service raised.
        """
        [stub] = [stub for stub in self._stubs if hasattr(stub, rpc)]
        try:
            return await getattr(stub, rpc)(
                request, metadata=(("authorization", f"Bearer {caller}"),), timeout=20
            )
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, "auth") from None

    async def refused(self, rpc: str, request: Any, caller: str = "root") -> GatewayError:
        """Why an RPC is refused."""
        try:
            await self.call(rpc, request, caller)
        except GatewayError as error:
            return error
        raise AssertionError(f"{rpc} was not refused")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@cache
def _empty_database() -> Path:
    """A database with its schema and nothing in it; made once."""
    file = Path(mkdtemp(prefix="meshgate-test-")) / "auth.db"
    asyncio.run(migrate(SCHEMA, f"sqlite:///{file}"))
    return file


@asynccontextmanager
async def administering(
    binding: str, directory: Path, snapshot: Snapshot | None = None
) -> AsyncIterator[Api]:
    """The admin API, over a database in a directory."""
    file = directory / "auth.db"
    shutil.copy(await asyncio.to_thread(_empty_database), file)
    callers, clock = Callers(), Clock()
    source = FixedSource(snapshot or Snapshot("1"))
    async with opened(
        f"sqlite:///{file}", Peppers.parse(PEPPER), clock, wait_seconds=20.0
    ) as database:
        served = admin_api(database.directory, source, callers, clock)
        async with BINDINGS[binding](served) as channel:
            yield Api(channel, callers, database.directory, clock)
