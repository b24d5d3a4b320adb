"""Builds the cache service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meshgate.cache.redis_store import RedisEntryStore, connected
from meshgate.cache.servicer import CacheServicer
from meshgate.cache.settings import Settings
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation, Service
from meshgate.v1 import cache_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["CacheService"]

_LOOK_SECONDS = 1.0


@asynccontextmanager
async def assemble(env: Environment, _peers: Peers) -> AsyncIterator[Service]:
    """The cache service, for as long as the block lasts; it starts whether or not its store answers."""
    settings = Settings.read(env)
    try:
        client = connected(settings.redis_url, settings.lookup_seconds)
    except ValueError:
        # Without the library's own words: they may repeat a password.
        raise SettingError("CACHE_REDIS_URL: it must be of the form redis://host:port") from None
    store = RedisEntryStore(client, settings.lookup_seconds, settings.store_seconds)
    servicer = CacheServicer(store, settings.maximum_entry_bytes)
    await store.open()
    try:
        yield Service(
            name="cache",
            implementations=(Implementation(SERVICE, servicer, internal=True),),
            tasks={"look for a store that is away": lambda: _look(store)},
            lacks=lambda: ("its store does not answer",) if store.is_away else (),
        )
    finally:
        await store.close()


async def _look(store: RedisEntryStore) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        await store.look()
