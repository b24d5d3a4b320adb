"""What becomes of calls when the store is away, slow, full, or moving."""

import asyncio

import pytest
import structlog
from quota.model import Recorder
from quota.worlds import ONE, key, per, redis_world, soon
from redis.crc import key_slot

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LimitKind, WindowUnit
from meshgate.quota.grants import Booking, Grant, GrantSettlement, Hold, Settlement
from meshgate.quota.redis_address import RedisAddress
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping, RedisGrantStore
from meshgate.quota.shards import SHARD_COUNT, shard_of, tag_of
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import ServiceUnavailableError

SUBJECTS = (key("k", per(WindowUnit.TOTAL, 1_000), per(WindowUnit.TOTAL, 1_000, LimitKind.COST)),)


def hold(name: str, partition: str = "acme") -> Hold:
    return Hold(name, partition, SUBJECTS, ONE)


def everywhere(name: str) -> list[Hold]:
    """A hold in every shard."""
    partitions: dict[int, str] = {}
    number = 0
    while len(partitions) < SHARD_COUNT:
        partitions.setdefault(shard_of(f"org-{number}"), f"org-{number}")
        number += 1
    return [hold(name, partition) for partition in partitions.values()]


def settlement(item: Hold) -> GrantSettlement:
    return GrantSettlement(
        item.grant_id, item.partition, item.subjects, None, (Settlement(0, ONE, ONE, b"r"),)
    )


async def test_a_store_that_is_away_is_unavailable_when_the_time_is_up():
    store = RedisGrantStore(
        RedisNodes(RedisAddress.parse("redis://127.0.0.1:1/0")), Keeping(), Recorder()
    )

    with pytest.raises(ServiceUnavailableError) as caught:
        await store.hold([hold("g")], Deadline.after(0.05))

    assert caught.value.retry_after_seconds == 1


async def test_a_store_that_never_answers_is_unavailable_when_the_time_is_up(any_redis):
    async with redis_world(any_redis) as world:
        await world.store.hold(everywhere("g1"), soon())
        with any_redis.frozen(), pytest.raises(ServiceUnavailableError):
            await world.store.hold([hold("g2")], Deadline.after(0.2))

        (outcome,) = await world.store.hold([hold("g2")], soon())

    assert isinstance(outcome, Grant)


async def test_a_full_store_refuses_and_nothing_is_half_done(any_redis):
    async with redis_world(any_redis) as world:
        await world.store.hold([hold("g1")], soon())
        with any_redis.full():
            with pytest.raises(ServiceUnavailableError, match="memory"):
                await world.store.hold(everywhere("g2"), soon())
            with pytest.raises(ServiceUnavailableError, match="memory"):
                await world.store.settle([settlement(hold("g1"))], soon())

        outcome = await world.hold("g3", SUBJECTS)
        booking = await world.settle("g1", SUBJECTS, ONE)

    assert outcome.states[0].remaining == 998
    assert booking is Booking.BOOKED


@pytest.mark.parametrize("server", ["valkey", "real_redis"])
async def test_a_store_that_was_killed_and_comes_back_has_lost_nothing(server, request):
    redis_server = request.getfixturevalue(server)
    async with redis_world(redis_server) as world:
        await world.store.hold([hold(f"g{n}") for n in range(10)], soon())
        await world.store.settle([settlement(hold(f"g{n}")) for n in range(5)], soon())

        redis_server.kill()
        redis_server.restart()
        again = await world.store.settle([settlement(hold(f"g{n}")) for n in range(10)], soon())
        outcome = await world.hold("after", SUBJECTS)

    assert [bookings[0] for bookings in again] == [Booking.REPEATED] * 5 + [Booking.BOOKED] * 5
    assert outcome.states[0].remaining == 989


async def test_a_call_waits_for_a_store_that_is_just_coming_back(valkey):
    async with redis_world(valkey) as world:
        await world.store.hold([hold("g1")], soon())
        valkey.kill()
        waiting = asyncio.create_task(world.hold("g2", SUBJECTS))
        await asyncio.sleep(0)
        valkey.restart()

        assert isinstance(await waiting, Grant)


async def test_a_settlement_is_not_answered_before_it_is_on_disk(valkey):
    with valkey.control() as client:
        client.config_set("appendfsync", "no")
    try:
        async with redis_world(valkey) as world:
            await world.hold("g", SUBJECTS)
            with pytest.raises(ServiceUnavailableError, match="disk"):
                await world.store.settle([settlement(hold("g"))], Deadline.after(1))
    finally:
        with valkey.control() as client:
            client.config_set("appendfsync", "everysec")


async def test_a_repeated_settlement_is_not_answered_before_it_is_on_disk_either(valkey):
    with valkey.control() as client:
        client.config_set("appendfsync", "no")
    try:
        async with redis_world(valkey) as world:
            for _ in range(2):
                with pytest.raises(ServiceUnavailableError, match="disk"):
                    await world.store.settle([settlement(hold("g"))], Deadline.after(1))
    finally:
        with valkey.control() as client:
            client.config_set("appendfsync", "everysec")


async def test_where_the_store_writes_no_file_settlements_are_answered_all_the_same(valkey):
    with valkey.control() as client:
        client.config_set("appendonly", "no")
    try:
        async with redis_world(valkey) as world:
            await world.hold("g", SUBJECTS)

            assert await world.settle("g", SUBJECTS, ONE) is Booking.BOOKED
    finally:
        with valkey.control() as client:
            client.config_set("appendonly", "yes")


async def test_a_caller_who_leaves_takes_no_answer_from_another(valkey):
    async with redis_world(valkey) as world:
        await world.hold("warm", SUBJECTS)
        for number in range(50):
            leaving = asyncio.create_task(world.hold(f"leaving-{number}", SUBJECTS))
            await asyncio.sleep(0)
            leaving.cancel()
            amounts = Amounts(cost_nanos=number % 7)
            outcome = await world.hold(f"stays-{number}", SUBJECTS, amounts)
            assert outcome.amounts == amounts
            await asyncio.gather(leaving, return_exceptions=True)


@pytest.mark.timeout(120)
async def test_a_cluster_that_loses_a_node_loses_no_grant_that_was_replicated(redis_cluster):
    slot = key_slot(tag_of(shard_of("acme")).encode())
    async with redis_world(redis_cluster) as world:
        first = everywhere("g1")
        await world.store.hold(first, soon())
        with redis_cluster.primary(slot).control() as client:
            client.set(f"{tag_of(shard_of('acme'))}last", "that its replica has to hear of")
            assert client.wait(1, 5_000) == 1

        dead = redis_cluster.kill_primary(slot)
        with pytest.raises(ServiceUnavailableError):
            await world.store.hold(everywhere("g2"), Deadline.after(0.5))
        await asyncio.to_thread(redis_cluster.await_failover, slot)
        outcomes = await world.store.hold(everywhere("g2"), soon())
        bookings = await world.store.settle([settlement(item) for item in first], soon())
        redis_cluster.restart(dead)

    assert [outcome.states[0].remaining for outcome in outcomes] == [998] * SHARD_COUNT
    assert all(booking == [Booking.BOOKED] for booking in bookings)


@pytest.mark.timeout(120)
async def test_a_shard_that_moves_to_another_node_is_found_there_whole(redis_cluster):
    slot = key_slot(tag_of(shard_of("acme")).encode())
    source = redis_cluster.primary(slot)
    target = next(
        node
        for node in (redis_cluster.primary(0), redis_cluster.primary(16_383))
        if node is not source
    )
    async with redis_world(redis_cluster) as world:
        for number in range(5):
            await world.hold(f"g{number}", SUBJECTS)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        found = source.command("CLUSTER", "GETKEYSINSLOT", slot, 1_000)
        for name in found[::2]:
            source.command("MIGRATE", "127.0.0.1", target.port, name, 0, 5_000)

        with pytest.raises(ServiceUnavailableError):
            await world.store.hold([hold("half")], Deadline.after(0.3))

        for name in found[1::2]:
            source.command("MIGRATE", "127.0.0.1", target.port, name, 0, 5_000)
        for node in (target, source):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        outcome = await world.hold("after", SUBJECTS)
        booking = await world.settle("g0", SUBJECTS, ONE)

    assert outcome.states[0].remaining == 994
    assert booking is Booking.BOOKED


async def test_a_store_that_evicts_is_told_of(valkey):
    nodes = RedisNodes(RedisAddress.parse(valkey.url))
    with valkey.control() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with structlog.testing.capture_logs() as logs:
            await nodes.look_at_disks()
    finally:
        with valkey.control() as client:
            client.config_set("maxmemory-policy", "noeviction")
        await nodes.close()

    (log,) = logs
    assert log["log_level"] == "error"
    assert "noeviction" in log["event"]


async def test_a_store_that_writes_no_file_is_told_of_once(valkey):
    nodes = RedisNodes(RedisAddress.parse(valkey.url))
    with valkey.control() as client:
        client.config_set("appendonly", "no")
    try:
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                await nodes.look_at_disks()
    finally:
        with valkey.control() as client:
            client.config_set("appendonly", "yes")
        await nodes.close()

    (log,) = logs
    assert log["log_level"] == "warning"
    assert "append-only file" in log["event"]
