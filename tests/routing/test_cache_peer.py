"""The caller's side of cache: a miss whenever anything is wrong, and never a wait."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from routing.fake_cache import FakeCache
from routing.fakes import BOUND_SECONDS, Clock, question, until

from meshgate.routing.peers.cache import Bounds, Cache, NoAnswers, Place
from meshgate.runtime.breaker import Breaker
from meshgate.runtime.errors import GatewayError, ServiceUnavailableError
from meshgate.v1 import cache_service_pb2 as pb

ASKED = question()


def place(number: int = 1, partition: str = "acme") -> Place:
    return Place(partition, bytes([number]) * 32)


def entry(body: bytes = b"{}", made_at: int = 1_000) -> pb.CacheEntry:
    return pb.CacheEntry(body=body, create_time=Timestamp(seconds=made_at))


class Bench:
    """A peer, its service, and the clocks of both breaker and age."""

    def __init__(self, lookup_seconds: float = BOUND_SECONDS, bounds: Bounds | None = None) -> None:
        self.service = FakeCache()
        self.clock = Clock()
        breaker = Breaker(failures=3, pause_seconds=1.0, now=self.clock)
        self.cache = Cache(self.service.channel(), lookup_seconds, breaker, self.clock, bounds)

    async def find(self, at: Place | None = None, max_age: int | None = None) -> Any:
        return await self.cache.find(ASKED, at or place(), max_age)

    def keep(self, at: Place | None = None, kept: pb.CacheEntry | None = None) -> None:
        self.cache.keep(ASKED, at or place(), kept or entry(), 60.0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    task = asyncio.create_task(bench.cache.store())
    yield bench
    task.cancel()
    await asyncio.wait([task])


async def test_what_the_service_has_is_found(bench: Bench):
    bench.service.entries["acme", place().fingerprint] = entry(b"x")

    assert await bench.find() == entry(b"x")
    assert await bench.find(place(2)) is None
    assert await bench.find(place(1, "globex")) is None


async def test_a_lookup_says_for_whom_it_is_and_how_old_an_answer_may_be(bench: Bench):
    await bench.find(max_age=7)
    await bench.find()

    first, second = bench.service.lookups
    assert first.context.principal_id == "alice"
    assert first.max_age.seconds == 7
    assert not second.HasField("max_age")


async def test_what_is_kept_comes_to_the_service_with_its_ttl(bench: Bench):
    bench.keep()

    await until(lambda: bench.service.stores)
    [item] = bench.service.stores
    assert item == pb.CacheStoreItem(
        context=item.context,
        partition="acme",
        fingerprint=place().fingerprint,
        entry=entry(),
        ttl={"seconds": 60},
    )


async def test_an_answer_that_came_at_the_last_moment_is_kept_all_the_same(bench: Bench):
    late = question(seconds=-1)

    bench.cache.keep(late, place(), entry(), 60.0)

    await until(lambda: bench.service.stores)


async def test_what_is_on_its_way_is_found_already(bench: Bench):
    bench.service.open.clear()

    bench.keep(kept=entry(b"x"))

    assert await bench.find() == entry(b"x")
    bench.service.open.set()


async def test_what_is_on_its_way_is_found_only_if_it_is_young_enough():
    bench = Bench()  # sends nothing
    bench.keep(kept=entry(b"x", made_at=990))

    assert await bench.find(max_age=10) == entry(b"x", made_at=990)
    assert await bench.find(max_age=9) is None


@pytest.mark.parametrize(
    "failure", [ServiceUnavailableError("away"), GatewayError("internal error")]
)
async def test_a_service_that_fails_is_a_miss(bench: Bench, failure: GatewayError):
    bench.service.failure = failure

    assert await bench.find() is None


async def test_a_service_that_hangs_is_a_miss():
    bench = Bench(lookup_seconds=0.01)
    bench.service.open.clear()

    assert await bench.find() is None


async def test_a_service_that_has_failed_three_times_is_asked_no_more(bench: Bench):
    bench.service.failure = ServiceUnavailableError("away")

    for _ in range(10):
        assert await bench.find() is None

    assert len(bench.service.lookups) == 3


async def test_it_is_asked_again_after_a_pause(bench: Bench):
    bench.service.failure = ServiceUnavailableError("away")
    for _ in range(3):
        await bench.find()
    bench.service.failure = None
    bench.service.entries["acme", place().fingerprint] = entry(b"x")

    bench.clock.time += 1.1

    assert await bench.find() == entry(b"x")
    assert await bench.find() == entry(b"x")


async def test_many_lookups_of_one_batch_that_fails_are_one_failure(bench: Bench):
    bench.service.failure = ServiceUnavailableError("away")

    await asyncio.gather(*[bench.find(place(n)) for n in range(20)])

    assert not bench.cache._breaker.is_open


async def test_nothing_is_kept_while_the_service_is_left_alone(bench: Bench):
    bench.service.failure = ServiceUnavailableError("away")
    for _ in range(3):
        await bench.find()

    bench.keep()

    assert not bench.cache._waiting


async def test_a_store_that_fails_loses_its_answers_and_no_others(bench: Bench):
    bench.service.failure = ServiceUnavailableError("away")
    bench.keep(place(1))
    await until(lambda: not bench.cache._on_the_way)
    bench.service.failure = None

    bench.keep(place(2))

    await until(lambda: bench.service.stores)
    assert [item.fingerprint for item in bench.service.stores] == [place(2).fingerprint]
    assert bench.cache._waiting_bytes == 0


async def test_what_waits_to_be_kept_is_bounded_in_number_and_size():
    few = Bench(bounds=Bounds(waiting=3))
    large = Bench(bounds=Bounds(waiting_bytes=100))

    for number in range(5):
        few.keep(place(number), entry(b""))
        large.keep(place(number), entry(b"x" * 45))

    assert len(few.cache._waiting) == 3
    assert len(large.cache._waiting) == 2
    assert len(few.cache._on_the_way) == 3


async def test_what_waits_goes_in_batches_that_are_small_enough():
    bench = Bench(bounds=Bounds(batch=3, batch_bytes=100))
    for number, size in enumerate([40, 40, 40, 200, 1, 1, 1, 1]):
        bench.keep(place(number), entry(b"x" * size))

    task = asyncio.create_task(bench.cache.store())
    await until(lambda: len(bench.service.stores) == 8)
    task.cancel()

    assert bench.service.store_batches == [2, 1, 1, 3, 1]
    assert bench.cache._waiting_bytes == 0
    assert not bench.cache._on_the_way


# ----------------------------------------------------------------- several at a time


async def test_several_are_looked_for_together_and_found_in_order(bench: Bench):
    places = [place(number) for number in range(4)]
    for number in (1, 3):
        bench.service.entries["acme", place(number).fingerprint] = entry(b"%d" % number)

    found = await bench.cache.find_all(ASKED, places, 7)

    assert found == [None, entry(b"1"), None, entry(b"3")]
    assert bench.service.lookup_batches == [4]
    assert {item.max_age.seconds for item in bench.service.lookups} == {7}


async def test_what_is_on_its_way_is_found_among_several_and_not_looked_for(bench: Bench):
    bench.service.open.clear()
    bench.keep(place(1), entry(b"x"))
    finding = asyncio.create_task(bench.cache.find_all(ASKED, [place(1), place(2)], None))
    await until(lambda: bench.service.lookups)
    bench.service.open.set()

    assert await finding == [entry(b"x"), None]
    assert [item.fingerprint for item in bench.service.lookups] == [place(2).fingerprint]


async def test_many_are_looked_for_few_at_a_time(bench: Bench):
    places = [place(number) for number in range(150)]
    for number in range(150):
        bench.service.entries["acme", place(number).fingerprint] = entry(b"%d" % number)

    found = await bench.cache.find_all(ASKED, places, None)

    assert found == [entry(b"%d" % number) for number in range(150)]
    assert bench.service.lookup_batches == [64, 64, 22]


async def test_after_a_lookup_that_fails_the_rest_is_not_looked_for(bench: Bench):
    bench.service.failure = ServiceUnavailableError("away")

    found = await bench.cache.find_all(ASKED, [place(number) for number in range(150)], None)

    assert found == [None] * 150
    assert bench.service.lookup_batches == [64]


async def test_a_service_that_is_left_alone_is_not_asked_for_several_either(bench: Bench):
    bench.service.failure = ServiceUnavailableError("away")
    for _ in range(3):
        await bench.find()

    assert await bench.cache.find_all(ASKED, [place(1), place(2)], None) == [None, None]
    assert len(bench.service.lookups) == 3


@pytest.mark.parametrize("count", [1, 2])
async def test_too_few_results_are_misses_for_nobody_knows_whose_they_are(bench: Bench, count: int):
    places = [place(number) for number in range(count)]
    for each in places:
        bench.service.entries["acme", each.fingerprint] = entry(b"somebody's")
    bench.service.missing_results = 1

    assert await bench.cache.find_all(ASKED, places, None) == [None] * count
    assert bench.cache._breaker._failures == 1


async def test_without_a_service_nothing_is_found():
    answers = NoAnswers()

    answers.keep(ASKED, place(), entry(), 60.0)

    assert await answers.find(ASKED, place(), None) is None
    assert await answers.find_all(ASKED, [place(1), place(2)], None) == [None, None]
