"""A world on every store: the model itself, and Valkey and Redis."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from cache.memory import MemoryStore
from cache.worlds import World
from redis_servers import BOUND_SECONDS, RedisServer

from meshgate.cache.entries import Place
from meshgate.cache.redis_store import RedisEntryStore, connected


class Clock:
    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


class Closing(RedisEntryStore):
    async def aclose(self) -> None:
        await self.close()


def patient_store(server: RedisServer) -> Closing:
    """One that waits for a busy machine."""
    return Closing(connected(server.url, BOUND_SECONDS), BOUND_SECONDS, BOUND_SECONDS)


@pytest.fixture(params=["model", "valkey", "real_redis"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "model":
        clock = Clock()

        def pass_time(_place: Place) -> None:
            clock.time += 1_000_000

        yield World(MemoryStore(clock), pass_time)
        return
    server: RedisServer = request.getfixturevalue(request.param)

    def expire(place: Place) -> None:
        with server.control() as client:
            [key] = [key for key in client.keys("e:*") if key.endswith(place.fingerprint)]
            assert 0 < client.pttl(key) <= 60_000
            client.pexpire(key, 0)

    async with aclosing(patient_store(server)) as store:
        yield World(store, expire)
