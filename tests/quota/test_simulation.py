"""Many callers at once, who come back twice, too late, or not at all."""

import asyncio
import random
from dataclasses import dataclass, field

import msgspec
import pytest
from quota.worlds import World, key, per, places, redis_world, soon

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import LimitKind, WindowUnit
from meshgate.quota.grants import Grant, GrantSettlement, Hold, Release, Settlement
from meshgate.quota.shards import shard_of, tag_of
from meshgate.runtime.errors import ServiceUnavailableError

CALLERS = 12
STEPS = 25
UNIT = Amounts(requests=1, cost_nanos=10, concurrency=1)
SUBJECTS = (
    key("k", per(WindowUnit.TOTAL, 10**6, LimitKind.COST), places(4_000)),
    key("j", per(WindowUnit.MINUTE, 10**6)),
)


async def test_parallel_holds_on_a_limit_of_n_admit_exactly_n(any_redis):
    subjects = (key("k", per(WindowUnit.DAY, 100), places(70)),)

    async def caller(world: World, number: int) -> int:
        items = [
            Hold(f"g{number}-{n}", "acme", subjects, Amounts(requests=1, concurrency=n % 2))
            for n in range(20)
        ]
        outcomes = await world.store.hold(items, soon())
        return sum(isinstance(outcome, Grant) for outcome in outcomes)

    async with redis_world(any_redis) as world:
        admitted = await asyncio.gather(*(caller(world, number) for number in range(20)))

    assert sum(admitted) == 100


@dataclass
class Books:
    """What should be counted in the end."""

    spent: int = 0
    left_behind: int = 0
    granted: list[str] = field(default_factory=list)


class Caller:
    """Takes leases, uses some of what it gets, and does not always behave."""

    def __init__(self, world: World, books: Books, seed: int) -> None:
        self.world = world
        self.books = books
        self.chance = random.Random(seed)
        self.name = f"caller-{seed}"

    async def run(self) -> None:
        for step in range(STEPS):
            self.world.clock.advance(self.chance.choice([0, 0, 0.1, 1, 5, -0.3]))
            await self.use(f"{self.name}-{step}")

    async def use(self, grant_id: str) -> None:
        grant = await self.world.lease(grant_id, SUBJECTS, UNIT, self.chance.randint(1, 20))
        assert isinstance(grant, Grant)
        held = grant.amounts.cost_nanos
        kept = grant.amounts
        for sequence in range(grant.amounts.requests):
            end = self.chance.choice(["settles", "settles", "twice", "late", "unused", "dies"])
            if end == "dies":
                self.books.left_behind += held
                return
            if end == "unused":
                continue
            if end == "late":
                self.world.clock.advance(31)
            spent = self.chance.choice([0, 3, 10, 25])
            await self.settle(grant_id, grant, sequence, spent, 2 if end == "twice" else 1)
            self.books.spent += spent
            held -= UNIT.cost_nanos
            kept = kept.minus(UNIT)
        used = grant.amounts.minus(kept)
        used = Amounts(used.requests, 0, 0, used.cost_nanos)
        await self.again(
            lambda: self.world.store.release([Release(grant_id, "acme", used)], soon())
        )

    async def settle(
        self, grant_id: str, grant: Grant, sequence: int, spent: int, times: int
    ) -> None:
        settlement = Settlement(sequence, UNIT, Amounts(requests=1, cost_nanos=spent))
        item = GrantSettlement(grant_id, "acme", SUBJECTS, grant.grant_time, (settlement,))
        await asyncio.gather(
            *(self.again(lambda: self.world.store.settle([item], soon())) for _ in range(times))
        )

    async def again(self, call) -> None:
        """Until there is an answer: that is what callers do."""
        while True:
            try:
                await call()
            except ServiceUnavailableError:
                continue
            else:
                return


def counted(server, subject: str) -> dict[str, list]:
    """Identity, and bucket, total and held of each bucket."""
    with server.control() as client:
        blob = client.get(f"{tag_of(shard_of('acme'))}subject:4:acme:{subject}")
    counters = msgspec.msgpack.decode(blob) if blob else {}
    return {name: counter[2] for name, counter in counters.items()}


@pytest.mark.usefixtures("quick_disk")
@pytest.mark.parametrize("seed", range(3))
async def test_in_the_end_everything_is_counted_once_and_nothing_is_held(valkey, seed):
    async with redis_world(valkey) as world:
        books = Books()
        callers = [Caller(world, books, seed * 1_000 + number) for number in range(CALLERS)]
        await asyncio.gather(*(caller.run() for caller in callers))
        world.clock.advance(3_600)
        await world.sweep()

        (_, total, held) = counted(valkey, "key/k")["cost/total"]

        assert held == 0
        assert total == books.spent + books.left_behind
        assert "concurrency" not in counted(valkey, "key/k")
        assert await world.fits(SUBJECTS, Amounts(concurrency=4_000))
        assert await world.fits(SUBJECTS, Amounts(cost_nanos=10**6 - total))


async def test_a_store_that_dies_again_and_again_counts_nothing_twice(valkey):
    subjects = (key("k", per(WindowUnit.TOTAL, 10**6)),)
    booked: asyncio.Queue[None] = asyncio.Queue()
    over = asyncio.Event()

    async def caller(world: World, number: int) -> int:
        done = 0
        while not over.is_set():
            name = f"g{number}-{done}"
            item = GrantSettlement(
                name, "acme", subjects, None, (Settlement(0, NOTHING, Amounts(requests=1)),)
            )
            while True:
                try:
                    await world.store.hold([Hold(name, "acme", subjects, Amounts(1))], soon())
                    await world.store.settle([item], soon())
                except ServiceUnavailableError:
                    continue
                break
            done += 1
            booked.put_nowait(None)
        return done

    async with redis_world(valkey) as world:
        callers = [asyncio.create_task(caller(world, number)) for number in range(4)]
        for _ in range(3):
            for _ in range(6):
                await booked.get()
            valkey.kill()
            valkey.restart()
        over.set()
        done = sum(await asyncio.gather(*callers))

        (_, total, held) = counted(valkey, "key/k")["requests/total"]

    assert done > 0
    assert (total, held) == (done, 0)
