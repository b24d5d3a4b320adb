"""UsageService, assembled: what answers it, and who lets callers in."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from meshgate.quota.ledger.keeper import Backlog
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.settings import Settings
from meshgate.quota.usage_servicer import NoLedger, UsageServicer
from meshgate.runtime.authentication import RemoteAuthenticator
from meshgate.runtime.authorization import Authorizer
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.page_tokens import SecretSeal
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation
from meshgate.v1 import usage_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["UsageService"]


@dataclass(frozen=True)
class UsageApi:
    """What is served, and what is done for it, as a `Service` has them."""

    implementations: tuple[Implementation, ...] = ()
    tasks: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)


@asynccontextmanager
async def usage_api(
    settings: Settings, nodes: RedisNodes, env: Environment, peers: Peers
) -> AsyncIterator[UsageApi]:
    """UsageService, for as long as the block lasts; nothing where nobody can tell who calls.

    Raises:
        SettingError: A setting cannot be used.
    """
    auth = await peers.connect_if_any("auth")
    if auth is None:
        yield UsageApi()
        return
    authorizer = Authorizer(RemoteAuthenticator(auth))
    async with _served(settings, nodes, env) as (servicer, tasks):
        yield UsageApi((Implementation(SERVICE, servicer, authorizer=authorizer),), tasks)


@asynccontextmanager
async def _served(
    settings: Settings, nodes: RedisNodes, env: Environment
) -> AsyncIterator[tuple[UsageServicer, Mapping[str, Callable[[], Awaitable[None]]]]]:
    seal = _seal(env)
    if settings.ledger_url is None:
        yield UsageServicer(NoLedger(), _nothing, seal, _now), {}
        return
    # Here, so that a service without a ledger loads nothing for one.
    from meshgate.database.database import DatabaseUnusableError  # noqa: PLC0415
    from meshgate.quota.ledger.opening import opened_reports  # noqa: PLC0415
    from meshgate.quota.ledger.usage_stream import UsageStream, new_consumer  # noqa: PLC0415

    stream = UsageStream(nodes, new_consumer())
    try:
        async with opened_reports(settings.ledger_url, settings.report_seconds) as opened:
            servicer = UsageServicer(opened.reports, stream.measure, seal, _now)
            yield servicer, {"sum usage up by the hour": opened.sum_up}
    except DatabaseUnusableError as error:
        raise SettingError(str(error)) from None


def _seal(env: Environment) -> SecretSeal:
    """The same in every process of the mesh: the next page may be asked of another."""
    token = MeshIdentity.read(env).token
    secret = secrets.token_bytes(32) if token is None else token.encode()
    return SecretSeal(secret, "page tokens of usage")


async def _nothing() -> Backlog:
    return Backlog()


def _now() -> int:
    return time.time_ns() // 1_000
