"""What only a store that is elsewhere meets: a server that is away, slow, full, or evicts."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from cache.conftest import Clock, Closing, patient_store
from cache.worlds import World, place
from redis_servers import RedisServer

from meshgate.cache.entries import Kept
from meshgate.cache.redis_store import connected
from meshgate.runtime.breaker import Breaker
from meshgate.runtime.errors import ServiceUnavailableError


@pytest.fixture
async def world(valkey: RedisServer) -> AsyncIterator[World]:
    async with aclosing(patient_store(valkey)) as store:
        yield World(store, lambda _: None)


class Nobody:
    """A client of a server that is not there, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def mget(self, keys: list[bytes]) -> list[bytes | None]:
        self.asked += 1
        raise ConnectionRefusedError

    async def ping(self) -> bool:
        self.asked += 1
        return True

    async def aclose(self) -> None:
        pass


def impatient(client: object, clock: Clock) -> Closing:
    return Closing(client, 0.02, 0.02, Breaker(failures=3, pause_seconds=1.0, now=clock))


async def fail(store: Closing, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ServiceUnavailableError):
            await store.find([place()])


async def test_a_server_that_is_away_is_unavailable(valkey: RedisServer):
    async with aclosing(patient_store(valkey)) as store:
        valkey.kill()

        with pytest.raises(ServiceUnavailableError) as raised:
            await store.find([place(1)])
        with pytest.raises(ServiceUnavailableError):
            await store.keep([Kept(place(1), b"x", 60)])
        with pytest.raises(ServiceUnavailableError):
            await store.forget("acme")

    assert str(valkey.port) not in raised.value.message


async def test_a_server_that_hangs_is_given_up(valkey: RedisServer):
    async with aclosing(impatient(connected(valkey.url, 0.02), Clock())) as store:
        await store.open()

        with valkey.frozen(), pytest.raises(ServiceUnavailableError):
            await store.find([place(1)])


async def test_a_server_that_has_failed_three_times_is_asked_no_more():
    client = Nobody()
    store = impatient(client, Clock())

    await fail(store, 10)

    assert client.asked == 3


async def test_a_server_is_asked_again_after_a_pause_by_one_caller():
    client, clock = Nobody(), Clock()
    store = impatient(client, clock)
    await fail(store, 3)

    clock.time += 1.1
    await fail(store, 5)

    assert client.asked == 4


async def test_a_server_that_is_looked_at_and_answers_is_asked_again():
    client = Nobody()
    store = impatient(client, Clock())
    await fail(store, 3)

    await store.look()
    await fail(store, 1)

    assert client.asked == 5


async def test_a_server_that_is_well_is_not_looked_at():
    client = Nobody()

    await impatient(client, Clock()).look()

    assert client.asked == 0


async def test_a_server_that_comes_back_is_used_again(valkey: RedisServer):
    clock = Clock()
    async with aclosing(patient_store(valkey)) as store:
        store._breaker = Breaker(failures=1, now=clock)
        valkey.kill()
        await fail(store, 2)
        was_away = store.is_away
        valkey.restart()

        await store.look()

        assert await store.find([place(1)]) == [None]
        assert (was_away, store.is_away) == (True, False)


async def test_a_generation_that_was_evicted_takes_its_answers_along(
    world: World, valkey: RedisServer
):
    await world.keep(place(1), b"one")
    await world.store.forget("acme")
    with valkey.control() as client:
        client.delete("g:acme")

    assert await world.find(place(1)) is None
    await world.keep(place(2), b"two")
    assert await world.find(place(1)) is None
    assert await world.find(place(2)) == b"two"


async def test_a_server_that_is_full_is_unavailable_for_storing_only(
    world: World, valkey: RedisServer
):
    await world.keep(place(1), b"one")

    with valkey.full(), pytest.raises(ServiceUnavailableError):
        await world.keep(place(2), b"two")

    assert await world.find(place(1)) == b"one"


async def test_everything_in_the_store_expires(world: World, valkey: RedisServer):
    await world.keep(place(1), b"one")
    await world.store.forget("globex")

    with valkey.control() as client:
        assert all(client.pttl(key) > 0 for key in client.keys("*"))
