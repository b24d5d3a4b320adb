"""UsageService, assembled: what answers it, and who lets callers in."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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


@asynccontextmanager
async def usage_api(
    settings: Settings, nodes: RedisNodes, env: Environment, peers: Peers
) -> AsyncIterator[tuple[Implementation, ...]]:
    """UsageService, for as long as the block lasts; nothing where nobody can tell who calls.

    Raises:
        SettingError: A setting cannot be used.
    """
    auth = await peers.connect_if_any("auth")
    if auth is None:
        yield ()
        return
    authorizer = Authorizer(RemoteAuthenticator(auth))
    async with _servicer(settings, nodes, env) as servicer:
        yield (Implementation(SERVICE, servicer, authorizer=authorizer),)


@asynccontextmanager
async def _servicer(
    settings: Settings, nodes: RedisNodes, env: Environment
) -> AsyncIterator[UsageServicer]:
    seal = _seal(env)
    if settings.ledger_url is None:
        yield UsageServicer(NoLedger(), _nothing, seal, _now)
        return
    # Here, so that a service without a ledger loads nothing for one.
    from meshgate.database.database import DatabaseUnusableError  # noqa: PLC0415
    from meshgate.quota.ledger.opening import opened_reports  # noqa: PLC0415
    from meshgate.quota.ledger.usage_stream import UsageStream, new_consumer  # noqa: PLC0415

    stream = UsageStream(nodes, new_consumer())
    try:
        async with opened_reports(settings.ledger_url, settings.report_seconds) as reports:
            yield UsageServicer(reports, stream.measure, seal, _now)
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
