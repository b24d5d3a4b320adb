"""A cache that nobody reaches: a miss at once, however it is away."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from routing.fakes import BOUND_SECONDS, question

from meshgate.routing.peers.cache import Cache, Place
from meshgate.runtime.channel import RemoteChannel

NEVER_SECONDS = 10 * BOUND_SECONDS


def refusing() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def dropping() -> Iterator[int]:
    """A port whose packets are dropped, as those to a host that is gone: too many wait there already."""
    with socket.socket() as full, socket.socket() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting.connect(full.getsockname())
        yield full.getsockname()[1]


def silent() -> Iterator[int]:
    """A port that takes connections and says nothing, as a process that hangs."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.fixture(params=[refusing, dropping, silent])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    ports = request.param()
    channel = RemoteChannel("cache", [f"127.0.0.1:{next(ports)}"], ())
    await channel.resolve()
    yield Cache(channel, lookup_seconds=NEVER_SECONDS)
    await channel.close()
    ports.close()


async def test_a_lookup_is_a_miss_without_a_wait(cache: Cache) -> None:
    asked = question()
    places = [Place("acme", bytes([number]) * 32) for number in range(3)]

    async with asyncio.timeout(BOUND_SECONDS):
        one = await cache.find(asked, places[0], None)
        several = await cache.find_all(asked, places, None)

    assert one is None
    assert several == [None, None, None]
