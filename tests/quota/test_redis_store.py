"""What only a Redis has: streams, clocks of its own, keys that end, scripts that are forgotten."""

import json

import pytest
from quota.model import Recorder
from quota.worlds import BEGINNING, ONE, key, per, places, redis_world, soon
from redis_servers import RedisServer

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import Enforcement, LimitKind, WindowMode, WindowUnit
from meshgate.quota.grants import Booking, Grant, GrantSettlement, Hold, Settlement
from meshgate.quota.redis_address import RedisAddress
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping, RedisGrantStore
from meshgate.quota.shards import shard_of, tag_of
from meshgate.runtime.errors import ServiceUnavailableError

BUDGET = [key("k", per(WindowUnit.TOTAL, 100, LimitKind.COST), places(5))]
HELD = Amounts(requests=1, cost_nanos=40, concurrency=1)
ACME = tag_of(shard_of("acme"))


@pytest.fixture
async def world(valkey):
    async with redis_world(valkey, Keeping(usage_entries=200)) as world:
        yield world


def stream(server: RedisServer, name: str) -> list[dict[str, str]]:
    """The entries of a stream of acme's shard."""
    with server.control() as client:
        entries = client.xrange(f"{ACME}{name}")
    return [
        {field.decode(): value.decode("latin-1") for field, value in fields.items()}
        for _, fields in entries
    ]


def keys(server: RedisServer) -> list[str]:
    with server.control() as client:
        return sorted(name.decode() for name in client.keys("*"))


async def test_usage_records_are_appended_once_with_how_it_was_booked(valkey, world):
    await world.hold("g", BUDGET, HELD)
    await world.hold("late", BUDGET, HELD, ttl=1)
    await world.settle("g", BUDGET, HELD, HELD, records=b"\x00\xff")
    await world.settle("g", BUDGET, HELD, HELD, records=b"\x00\xff")
    await world.settle("lost", BUDGET, HELD, HELD, sequence=7, records=b"three")
    world.clock.advance(1)
    await world.settle("late", BUDGET, Amounts(cost_nanos=10), HELD, records=b"four")

    entries = stream(valkey, "usage")

    records = [entry for entry in entries if "records" in entry]
    assert [(e["id"], e["kind"], e["sequence"], e["records"]) for e in records] == [
        ("g", "settled", "0", "\x00\xff"),
        ("lost", "unheld", "7", "three"),
        ("late", "late", "0", "four"),
    ]
    # In the windows of these moments it was booked.
    assert [int(e["grant_time"]) - BEGINNING for e in records] == [0, 0, 0]


async def test_the_books_hear_of_owners_who_are_gone_and_of_what_comes_back_of_it(valkey, world):
    await world.hold("g", BUDGET, HELD, ttl=1)
    await world.hold("h", BUDGET, HELD, ttl=1)
    await world.hold("only a place", BUDGET, Amounts(concurrency=1), ttl=1)
    world.clock.advance(1)
    await world.sweep()
    await world.sweep()
    await world.settle("g", BUDGET, Amounts(cost_nanos=10), HELD)
    await world.release("h", Amounts(cost_nanos=30))

    entries = stream(valkey, "usage")

    assert [(e["id"], e["kind"], e["cost_nanos"]) for e in entries] == [
        ("g", "abandoned", "40"),
        ("h", "abandoned", "40"),
        ("g", "returned", "40"),
        ("h", "returned", "10"),
    ]
    for entry in entries:
        assert entry["partition"] == "acme"
        assert json.loads(entry["subjects"]) == ["key/k"]
        assert entry["grant_time"] == str(BEGINNING)


async def test_alerts_are_kept_in_a_stream(valkey, world):
    subjects = [key("k", per(WindowUnit.MINUTE, 0, enforcement=Enforcement.SOFT))]

    await world.hold("g", subjects)

    (entry,) = stream(valkey, "alerts")
    assert (entry["partition"], entry["subject"], entry["limit"], entry["total"]) == (
        *("acme", "key/k", "requests/minute/rolling", "1"),
    )


async def test_the_usage_stream_is_bounded(valkey, world):
    settlements = tuple(Settlement(number, ONE, ONE, b"r") for number in range(1_000))

    await world.store.settle([GrantSettlement("g", "acme", (), None, settlements)], soon())

    assert len(stream(valkey, "usage")) <= 400


async def test_a_live_grant_has_no_end_of_its_own_and_an_ended_one_has(valkey, world):
    await world.hold("live", BUDGET, HELD)
    await world.hold("over", BUDGET, HELD)
    await world.settle("over", BUDGET, HELD, HELD)

    with valkey.control() as client:
        live = client.pttl(f"{ACME}grant:4:acme:live")
        over = client.pttl(f"{ACME}grant:4:acme:over")
        marks = client.pttl(f"{ACME}settled:4:acme:over")

    assert live == -1
    assert 600_000 < over <= 630_000
    assert 3_600_000 < marks <= 3_630_000


async def test_a_grant_that_was_given_up_is_known_as_long_as_it_may_be_settled(valkey, world):
    await world.hold("g", BUDGET, HELD, ttl=1)
    world.clock.advance(1)
    await world.sweep()

    with valkey.control() as client:
        milliseconds = client.pttl(f"{ACME}grant:4:acme:g")

    assert 3_500_000 < milliseconds <= 3_600_000


async def test_counters_that_will_not_be_asked_for_again_go_away(valkey, world):
    subjects = [
        key("k", per(WindowUnit.MINUTE, 5), per(WindowUnit.HOUR, 5, mode=WindowMode.CALENDAR))
    ]
    await world.hold("g", subjects)

    with valkey.control() as client:
        milliseconds = client.pttl(f"{ACME}subject:4:acme:key/k")

    assert 0 < milliseconds <= 2 * 3_600_000 + 60_000


async def test_nothing_lives_on_without_an_end_when_all_is_over(valkey, world):
    subjects = [key("k", per(WindowUnit.MINUTE, 50), places(5))]
    for number in range(5):
        await world.hold(f"g{number}", subjects, HELD)
    await world.settle("g0", subjects, HELD, HELD)
    await world.release("g1")
    world.clock.advance(30)
    await world.sweep()

    with valkey.control() as client:
        lasting = [name for name in keys(valkey) if client.pttl(name) == -1]

    assert lasting == [f"{ACME}usage"]


async def test_places_come_free_within_an_hour_when_the_clock_was_set_back(valkey, world):
    subjects = [key("k", places(1))]
    await world.hold("g", subjects, Amounts(concurrency=1))
    world.clock.advance(-30 * 86_400)
    await world.sweep()

    world.clock.advance(3_600)

    assert await world.fits(subjects, Amounts(concurrency=1))


@pytest.mark.parametrize("unit", [WindowUnit.MINUTE, WindowUnit.DAY])
async def test_a_clock_that_was_far_ahead_shuts_nobody_out_for_longer_than_a_window(world, unit):
    subjects = [key("k", per(unit, 3))]
    world.clock.advance(400 * 86_400)
    for number in range(3):
        await world.hold(f"g{number}", subjects)
    await world.settle("g0", subjects, Amounts(requests=2))
    world.clock.advance(-400 * 86_400)

    refused = await world.hold("at once", subjects)
    world.clock.advance(refused.retry_after_seconds)
    await world.settle("g1", subjects, ONE)
    world.clock.advance(86_400)

    assert refused.remaining == 0
    assert refused.retry_after_seconds <= 86_400
    assert await world.fits(subjects, Amounts(requests=3))


async def test_the_clock_of_the_server_counts_and_not_our_own(any_redis):
    nodes = RedisNodes(RedisAddress.parse(any_redis.url))
    store = RedisGrantStore(nodes, Keeping(), Recorder())
    store._ahead_ms = -400 * 86_400_000
    subjects = (key("k", per(WindowUnit.DAY, 1), per(WindowUnit.MINUTE, 9)),)

    outcomes = await store.hold([Hold(f"g{n}", "acme", subjects, ONE) for n in range(2)], soon())
    store._ahead_ms = 400 * 86_400_000
    (bookings,) = await store.settle(
        [GrantSettlement("x", "zeta", subjects, None, (Settlement(0, ONE, ONE),))], soon()
    )
    await nodes.close()

    assert isinstance(outcomes[0], Grant)
    assert outcomes[1].remaining == 0
    assert bookings == [Booking.UNHELD]


async def test_scripts_that_the_server_has_forgotten_are_sent_again(any_redis):
    async with redis_world(any_redis) as world:
        await world.hold("g1", BUDGET, HELD)
        async with any_redis.client() as client:
            await client.script_flush()

        assert isinstance(await world.hold("g2", BUDGET, HELD), Grant)


async def test_an_item_that_breaks_the_script_leaves_no_other_half_done(valkey, world):
    subjects = (key("k", per(WindowUnit.MINUTE, 5)),)
    with valkey.control() as client:
        client.lpush(f"{ACME}subject:4:acme:key/broken", "not what it should be")
    before = keys(valkey)

    with pytest.raises(ServiceUnavailableError):
        await world.store.hold(
            [
                Hold("g1", "acme", subjects, ONE),
                Hold("g2", "acme", (key("broken", per(WindowUnit.MINUTE, 5)),), ONE),
            ],
            soon(),
        )

    assert keys(valkey) == before


async def test_more_than_one_call_can_take_is_taken_in_several(world):
    limits = [
        per(unit, 10**6, kind, mode=mode)
        for kind in (LimitKind.REQUESTS, LimitKind.TOKENS)
        for unit in (WindowUnit.SECOND, WindowUnit.MINUTE, WindowUnit.HOUR)
        for mode in WindowMode
    ]
    subjects = tuple(key(f"k{number}", *limits) for number in range(64))

    outcomes = await world.store.hold(
        [Hold(f"g{number}", "acme", subjects, ONE) for number in range(20)], soon()
    )

    assert [outcome.states[0].remaining for outcome in outcomes] == [
        10**6 - number - 1 for number in range(20)
    ]
