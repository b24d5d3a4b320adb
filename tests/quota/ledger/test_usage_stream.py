import asyncio
import time

import pytest
from quota.ledger.streams import (
    PARTITIONS,
    ledger_world,
    names_of,
    stream_at,
    use,
)
from quota.worlds import BEGINNING

from meshgate.quota.ledger.keeper import MOST_ENTRIES, Backlog
from meshgate.quota.ledger.usage_stream import Patience
from meshgate.quota.shards import shard_of, tag_of
from meshgate.runtime.errors import ServiceUnavailableError

NAMES = tuple(f"g{number}" for number in range(30))


async def lengths(server) -> int:
    async with server.client() as client:
        shards = {shard_of(partition) for partition in PARTITIONS}
        return sum([await client.xlen(f"{tag_of(shard)}usage") for shard in shards])


async def test_all_that_was_used_is_taken_from_all_shards(any_redis):
    async with ledger_world(any_redis) as world, stream_at(any_redis) as stream:
        await use(world, *NAMES)

        taken = await stream.take()

    assert names_of(taken) == sorted(NAMES)
    assert {one.shard for one in taken.told} == {shard_of(name) for name in PARTITIONS}
    assert {one.fields[b"grant_time"] for one in taken.told} == {str(BEGINNING).encode()}
    assert taken.backlog.entries == 30
    assert taken.backlog.age_seconds < 60


async def test_what_is_dropped_is_gone_and_the_rest_stays(any_redis):
    async with ledger_world(any_redis) as world, stream_at(any_redis) as stream:
        await use(world, *NAMES)
        taken = await stream.take()

        await stream.drop(taken.told[:20])
        await stream.drop(taken.told[:20])

        assert await lengths(any_redis) == 10
        assert (await stream.measure()).entries == 10
        await stream.drop(taken.told)
        assert await stream.measure() == Backlog()


async def test_where_more_waits_more_is_taken_and_never_much_more_than_one_transaction(valkey):
    many = [f"m{number}" for number in range(600)]
    async with ledger_world(valkey) as world, stream_at(valkey) as stream:
        await use(world, *many, partitions=["acme"])
        await use(world, *NAMES)
        sizes = [len((await stream.take()).told) for _ in range(3)]
        await use(world, *many, partitions=PARTITIONS)

        rest = await stream.take()

    share = MOST_ENTRIES * 600 // (600 + len(NAMES))
    assert sizes == [16 + len(NAMES), share, 600 - 16 - share]
    assert len(rest.told) <= MOST_ENTRIES + 16 * len(PARTITIONS)


async def test_two_who_take_share_what_there_is(valkey):
    async with (
        ledger_world(valkey) as world,
        stream_at(valkey, "one") as one,
        stream_at(valkey, "other") as other,
    ):
        await use(world, *NAMES)
        first = await one.take()
        await use(world, "later")

        second = await other.take()

    assert names_of(first) == sorted(NAMES)
    assert names_of(second) == ["later"]


async def test_what_somebody_took_who_is_gone_is_taken_by_others(any_redis):
    async with (
        ledger_world(any_redis) as world,
        stream_at(any_redis, "gone") as gone,
        # Idle at once, so that nobody has to wait.
        stream_at(any_redis, "other", Patience(idle_seconds=0.001)) as other,
    ):
        await use(world, *NAMES)
        await gone.take()
        await asyncio.to_thread(time.sleep, 0.002)

        taken = await other.take()

    assert names_of(taken) == sorted(NAMES)


async def test_what_somebody_is_still_working_on_is_not_taken_from_him(valkey):
    async with (
        ledger_world(valkey) as world,
        stream_at(valkey, "busy") as busy,
        stream_at(valkey, "other") as other,
    ):
        await use(world, *NAMES)
        await busy.take()

        assert (await other.take()).told == []


async def test_after_the_store_has_lost_everything_it_goes_on(any_redis):
    async with ledger_world(any_redis) as world, stream_at(any_redis) as stream:
        await use(world, *NAMES)
        await stream.take()
        any_redis.clean()
        await use(world, "after")

        assert names_of(await stream.take()) == ["after"]


async def test_those_who_are_gone_and_owe_nothing_are_forgotten(valkey):
    usage = f"{tag_of(shard_of('acme'))}usage"
    shortly = Patience(idle_seconds=1_000.0, gone_seconds=0.001)
    async with (
        ledger_world(valkey) as world,
        stream_at(valkey, "owes") as owes,
        stream_at(valkey, "one", shortly) as one,
    ):
        await use(world, "a", partitions=["acme"])
        await owes.take()
        async with valkey.client() as client:
            await client.xgroup_createconsumer(usage, "ledger", "gone")
        await asyncio.to_thread(time.sleep, 0.002)
        await use(world, "b", partitions=["acme"])

        await one.take()

        async with valkey.client() as client:
            consumers = await client.xinfo_consumers(usage, "ledger")

    assert {consumer["name"] for consumer in consumers} == {b"one", b"owes"}


async def test_a_store_that_is_full_can_still_be_emptied(any_redis):
    async with ledger_world(any_redis) as world, stream_at(any_redis) as stream:
        await use(world, *NAMES)

        with any_redis.full():
            taken = await stream.take()
            await stream.drop(taken.told)

        assert await lengths(any_redis) == 0


async def test_who_waits_is_woken_by_what_comes(valkey):
    async with ledger_world(valkey) as world, stream_at(valkey) as stream:
        waiting = asyncio.create_task(stream.wait())
        async with valkey.client() as client:
            while not (await client.info("clients"))["blocked_clients"]:
                await asyncio.sleep(0)

        await use(world, "a")

        await waiting
        assert names_of(await stream.take()) == ["a"]


async def test_a_store_that_is_away_is_unavailable():
    class Nowhere:
        url = "redis://127.0.0.1:1/0"

    async with stream_at(Nowhere(), patience=Patience(answer_seconds=0.05)) as stream:
        with pytest.raises(ServiceUnavailableError):
            await stream.take()
