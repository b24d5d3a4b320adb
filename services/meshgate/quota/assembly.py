"""Builds the quota service."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from meshgate.quota.bookkeeping import opened_books
from meshgate.quota.grants import GrantStore
from meshgate.quota.observation import Observed
from meshgate.quota.redis_address import RedisAddress, UnusableUrlError
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping, RedisGrantStore
from meshgate.quota.servicer import QuotaServicer
from meshgate.quota.settings import Settings
from meshgate.quota.usage_api import usage_api
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation, Service
from meshgate.v1 import quota_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["QuotaService"]

_log = structlog.get_logger("meshgate.quota")


@asynccontextmanager
async def assemble(env: Environment, peers: Peers) -> AsyncIterator[Service]:
    """The quota service, for as long as the block lasts.

    It starts whether or not the store answers, and refuses until it does.
    """
    settings = Settings.read(env)
    try:
        nodes = RedisNodes(RedisAddress.parse(settings.redis_url))
    except UnusableUrlError as error:
        raise SettingError(f"REDIS_URL: {error}") from None
    store = RedisGrantStore(nodes, _keeping(settings), Observed())
    is_there = await _is_there(nodes, settings.hold_seconds)
    reach = Reach()
    servicer = QuotaServicer(store, settings.hold_seconds, settings.settle_seconds)
    try:
        async with opened_books(settings, nodes, recovers=is_there) as books:
            yield Service(
                name="quota",
                implementations=(
                    Implementation(SERVICE, servicer, internal=True),
                    *await usage_api(books, env, peers),
                ),
                tasks={
                    "abandon grants whose owners are gone": lambda: sweep(
                        store, settings.sweep_seconds, settings.settle_seconds, reach
                    ),
                    **books.tasks,
                },
                lacks=lambda: (*reach.lacks(), *books.lacks()),
            )
    finally:
        await nodes.close()


async def _is_there(nodes: RedisNodes, within_seconds: float) -> bool:
    """Whether the store answers now. Where it is away, its disks are looked at with the first settlement."""
    try:
        async with asyncio.timeout(within_seconds):
            await nodes.look_at_disks()
    except (RedisError, OSError, TimeoutError):
        return False
    return True


@dataclass
class Reach:
    """Whether the store answers, as the sweeps see it, which are a second apart."""

    is_away: bool = False

    def lacks(self) -> Sequence[str]:
        return ("redis does not answer",) if self.is_away else ()


async def sweep(
    store: GrantStore, every_seconds: float, within_seconds: float, reach: Reach | None = None
) -> None:
    """Look for grants whose ttl has passed, again and again, without end."""
    reach = reach or Reach()
    while True:
        try:
            await store.sweep(Deadline.after(within_seconds))
            reach.is_away = False
        except GatewayError as error:
            if not reach.is_away:
                _log.warning("grants cannot be looked through", reason=error.message)
            reach.is_away = True
        await asyncio.sleep(every_seconds)


def _keeping(settings: Settings) -> Keeping:
    return Keeping(
        settings.retention_seconds,
        settings.settled_retention_seconds,
        settings.usage_entries,
        settings.alert_entries,
        settings.settled_replicas,
        for_ledger=settings.ledger_url is not None,
        rebuild_seconds=settings.rebuild_seconds if settings.ledger_url is not None else 0.0,
    )
