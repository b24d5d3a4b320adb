"""The whole way: settlements in a real store, a real keeper, a real database."""

import asyncio
import contextlib
import random

import pytest
from postgres_server import running_postgres
from quota.ledger.databases import migrated_sqlite, new_postgres
from quota.ledger.streams import (
    PARTITIONS,
    SPENT,
    SUBJECTS,
    ledger_world,
    recorded,
    stream_at,
    use,
)
from quota.ledger.usage import adjustment_id, check_books, database_at, named_lines
from quota.worlds import World, soon

from meshgate.limits.amounts import Amounts
from meshgate.quota.grants import Booking, Grant, GrantSettlement, NotGranted, Settlement
from meshgate.quota.ledger.keeper import Appended, Keeper
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.usage_stream import Patience
from meshgate.quota.shards import tag_of

# Who has taken something and is silent for this long, has lost it to the others.
HASTY = Patience(idle_seconds=0.001, answer_seconds=30.0)


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


async def drained(keeper: Keeper) -> None:
    """Keep until nothing waits."""
    while await keeper.keep_once():
        pass


@pytest.fixture
async def database(ledger_url):
    async with database_at(ledger_url) as database:
        yield database


def names(begin: int, end: int) -> list[str]:
    return [f"g{number:03d}" for number in range(begin, end)]


async def test_what_is_settled_is_in_the_ledger_once_and_no_longer_in_the_store(
    any_redis, tmp_path
):
    url = await asyncio.to_thread(migrated_sqlite, tmp_path / "ledger.sqlite")
    async with (
        ledger_world(any_redis) as world,
        stream_at(any_redis) as stream,
        database_at(url) as database,
    ):
        await use(world, *names(0, 50))
        await drained(Keeper(stream, SqlLedger(database), at_once))

        assert await check_books(database) == names(0, 50)
        assert (await stream.measure()).entries == 0
        lines = await named_lines(database)
    assert sum(line["cost_nanos"] for line in lines) == 50 * 30
    assert {line["organization"] for line in lines} == set(PARTITIONS)
    assert {line["booked_time"] for line in lines} == {world.clock() * 1_000}


async def test_the_books_add_up_whatever_became_of_a_grant(valkey, database):
    more = Amounts(requests=1, cost_nanos=100)
    async with ledger_world(valkey) as world, stream_at(valkey) as stream:
        for name in ("kept", "given up", "late", "given back"):
            await world.hold(name, SUBJECTS, more, ttl=1)
        await settle(world, "kept")
        world.clock.advance(2)
        await world.sweep()
        await settle(world, "late", held=more)
        await world.release("given back", Amounts())
        await settle(world, "never held", granted_at=world.clock() - 500)

        await drained(Keeper(stream, SqlLedger(database), at_once))

        lines = await named_lines(database)
        counted = await spent(world)
    assert sum(line["cost_nanos"] for line in lines) == counted.cost_nanos == 30 + 100 + 30 + 30
    assert sum(line["requests"] for line in lines) == counted.requests == 4
    assert sum(line["estimated_charges"] for line in lines) == 3
    assert {line["key"] for line in lines} == {"k1"}


async def settle(world: World, name: str, **more) -> Booking:
    return await world.settle(name, SUBJECTS, SPENT, records=recorded(name), **more)


async def spent(world: World) -> Amounts:
    """What the counters of the subjects hold."""
    grant = await world.hold("probe", SUBJECTS, Amounts(requests=1))
    assert isinstance(grant, Grant)
    requests = next(state for state in grant.states if state.limit.kind.value == "requests")
    left = 10**12
    while not await world.fits(SUBJECTS, Amounts(cost_nanos=left)):
        left -= 10
    return Amounts(10**9 - requests.remaining - 1, cost_nanos=10**12 - left)


class Dying:
    """A ledger of a process that dies: before it writes, or when it has written."""

    def __init__(self, ledger: SqlLedger, chance: random.Random) -> None:
        self._ledger = ledger
        self._chance = chance

    async def append(self, entries) -> Appended:
        dies = self._chance.choice(["before", "after", "not", "not"])
        if dies == "before":
            raise asyncio.CancelledError
        appended = await self._ledger.append(entries)
        if dies == "after":
            raise asyncio.CancelledError
        return appended


@pytest.mark.parametrize("seed", range(3))
async def test_processes_that_die_at_any_moment_lose_nothing_and_write_nothing_twice(
    valkey, ledger_url, seed
):
    chance, settled = random.Random(seed), 0
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(ledger_world(valkey))
        database = await stack.enter_async_context(database_at(ledger_url))
        for life in range(12):
            await use(world, *names(settled, settled + 10))
            settled += 10
            one, other = [
                Keeper(
                    await stack.enter_async_context(stream_at(valkey, f"{life}-{which}", HASTY)),
                    Dying(SqlLedger(database), chance),
                    at_once,
                )
                for which in ("one", "other")
            ]
            await asyncio.gather(one.keep_once(), other.keep_once(), return_exceptions=True)
        last = await stack.enter_async_context(stream_at(valkey, "last", HASTY))
        keeper = Keeper(last, SqlLedger(database), at_once)
        while (await last.measure()).entries:
            await keeper.keep_once()
            last._claimed_at = float("-inf")

        assert await check_books(database) == names(0, settled)
        assert len(await named_lines(database)) == settled


async def test_what_a_store_tells_again_after_a_crash_is_written_once(valkey, database):
    async with ledger_world(valkey) as world, stream_at(valkey) as stream:
        await use(world, *names(0, 20))
        keeper = Keeper(stream, SqlLedger(database), at_once)
        taken = await stream.take()
        await drained(keeper)
        async with valkey.client() as client:
            await client.delete(*(f"{tag_of(one.shard)}usage" for one in taken.told))
            for one in taken.told:
                await client.xadd(f"{tag_of(one.shard)}usage", dict(one.fields), id=one.stream_id)

        await drained(keeper)

        assert await check_books(database) == names(0, 20)
        assert (await stream.measure()).entries == 0


async def test_what_a_store_does_again_that_lost_its_last_second_is_written_once(valkey, database):
    more = Amounts(requests=1, cost_nanos=100)
    async with ledger_world(valkey) as world, stream_at(valkey) as stream:
        keeper = Keeper(stream, SqlLedger(database), at_once)
        for name in ("given up", "late", "given back"):
            await world.hold(name, SUBJECTS, more, ttl=1)
        world.clock.advance(2)
        for _ in range(2):
            before = await asyncio.to_thread(contents, valkey)
            await world.sweep()
            await settle(world, "late", held=more)
            await world.release("given back", Amounts())
            await drained(keeper)
            await asyncio.to_thread(restore, valkey, before)

        found = await check_books(database)
        lines = await named_lines(database)
    given_up = (adjustment_id("abandoned", n, "ttl") for n in ("given up", "late", "given back"))
    assert found == sorted(
        [
            *given_up,
            "late",
            adjustment_id("returned", "given back", "released/0,0,0,0,0"),
            adjustment_id("returned", "late", "settled/0"),
        ]
    )
    assert sum(line["cost_nanos"] for line in lines) == 100 + 30


def contents(server) -> dict[bytes, bytes]:
    with server.control() as client:
        return {name: client.dump(name) for name in client.scan_iter()}


def restore(server, before: dict[bytes, bytes]) -> None:
    with server.control() as client:
        client.flushall()
        for name, content in before.items():
            client.restore(name, 0, content)


async def test_while_the_database_is_away_usage_waits_and_then_it_is_written(valkey):
    with running_postgres() as server:
        url = await asyncio.to_thread(new_postgres, server, "ledger")
        async with (
            ledger_world(valkey) as world,
            stream_at(valkey) as stream,
            database_at(url, wait_seconds=2.0) as database,
        ):
            tries = []

            async def pause(_seconds: float) -> None:
                tries.append(list(keeper.lacks()))
                if len(tries) == 2:
                    server.start()

            keeper = Keeper(stream, SqlLedger(database), pause)
            await use(world, *names(0, 5))
            await drained(keeper)
            server.kill()
            await use(world, *names(5, 25))

            await keeper.keep_once()

            assert tries[0] == ["the database of the ledger does not answer"]
            assert keeper.lacks() == ()
            assert await check_books(database) == names(0, 25)


async def test_with_too_much_that_waits_for_the_ledger_nothing_more_is_granted(any_redis):
    async with ledger_world(any_redis, usage_entries=5) as world, stream_at(any_redis) as stream:
        await world.hold("before", SUBJECTS, SPENT)
        await use(world, *names(0, 4), partitions=["acme"])
        last = await world.hold("last", SUBJECTS, SPENT)
        await settle(world, "last")

        refused = await world.hold("more", SUBJECTS, SPENT)
        leased = await world.lease("lease", SUBJECTS, SPENT, 10)
        extended = await world.extend("before", SPENT + SPENT)
        longer = await world.extend("before")
        again = await world.hold("before", SUBJECTS, SPENT)
        booked = await settle(world, "before")
        await stream.drop((await stream.take()).told)
        afterwards = await world.hold("more", SUBJECTS, SPENT)

    assert isinstance(last, Grant)
    assert refused is leased is extended is NotGranted.BEHIND
    # What was granted goes on, and all that was used is booked.
    assert isinstance(longer, Grant)
    assert isinstance(again, Grant)
    assert booked is Booking.BOOKED
    assert isinstance(afterwards, Grant)
    assert afterwards.states[0].remaining == 10**9 - 7


async def test_nothing_is_trimmed_that_waits_for_the_ledger(valkey):
    async with ledger_world(valkey, usage_entries=5) as world, stream_at(valkey) as stream:
        many = tuple(Settlement(number, SPENT, SPENT, b"r") for number in range(300))
        await world.store.settle([GrantSettlement("g", "acme", (), None, many)], soon())

        waiting = await stream.measure()

    assert waiting.entries == 300
