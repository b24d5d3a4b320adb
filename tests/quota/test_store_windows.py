"""When what was used no longer counts; on every store."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from quota.worlds import ONE, key, per, places

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LimitKind, WindowMode, WindowUnit
from meshgate.quota.grants import Grant, LimitReached

SECONDS = {
    WindowUnit.SECOND: 1,
    WindowUnit.MINUTE: 60,
    WindowUnit.HOUR: 3_600,
    WindowUnit.DAY: 86_400,
    WindowUnit.WEEK: 7 * 86_400,
    WindowUnit.MONTH: 30 * 86_400,
}


async def spend(world, subjects, name="first"):
    await world.hold(name, subjects)
    await world.settle(name, subjects, ONE)


@pytest.mark.parametrize("unit", SECONDS)
async def test_a_rolling_window_forgets_after_a_window_and_at_most_a_tenth_more(world, unit):
    subjects = [key("k", per(unit, 1, mode=WindowMode.ROLLING))]
    await spend(world, subjects)

    world.clock.time += SECONDS[unit] * 1_000 - 1
    before = await world.hold("second", subjects)
    world.clock.time += 1 + SECONDS[unit] * 100
    after = await world.hold("third", subjects)

    assert isinstance(before, LimitReached)
    assert isinstance(after, Grant)


@pytest.mark.parametrize("unit", SECONDS)
async def test_whoever_comes_back_when_told_finds_room(world, unit):
    subjects = [key("k", per(unit, 1, mode=WindowMode.ROLLING))]
    await spend(world, subjects)

    refused = await world.hold("second", subjects)
    world.clock.advance(refused.retry_after_seconds)

    assert isinstance(await world.hold("third", subjects), Grant)


async def test_a_rolling_window_frees_what_leaves_it_bit_by_bit(world):
    subjects = [key("k", per(WindowUnit.MINUTE, 3))]
    for number in range(3):
        await spend(world, subjects, f"g{number}")
        world.clock.advance(12)

    one = await world.hold("one", subjects)
    two = await world.hold("two", subjects, Amounts(requests=2))

    assert two.retry_after_seconds - one.retry_after_seconds == 12.0


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
async def test_a_calendar_window_ends_at_midnight_in_its_zone(world, zone):
    subjects = [key("k", per(WindowUnit.DAY, 1, time_zone=zone))]
    midnight = datetime(2026, 11, 2, tzinfo=ZoneInfo(zone))
    world.clock.time = int(midnight.timestamp()) * 1_000 - 1
    await spend(world, subjects)

    refused = await world.hold("second", subjects)
    world.clock.time += 1
    granted = await world.hold("third", subjects)

    assert refused.retry_after_seconds == 0.001
    assert isinstance(granted, Grant)


async def test_a_total_is_never_forgotten(world):
    subjects = [key("k", per(WindowUnit.TOTAL, 1))]
    await spend(world, subjects)

    world.clock.advance(5 * 365 * 86_400)

    assert isinstance(await world.hold("second", subjects), LimitReached)


async def test_several_windows_count_at_once(world):
    subjects = [key("k", per(WindowUnit.SECOND, 1), per(WindowUnit.MINUTE, 3))]
    granted = 0
    for number in range(100):
        granted += isinstance(await world.hold(f"g{number}", subjects), Grant)
        world.clock.advance(0.5)

    # In 50 seconds: 3 by the minute's limit, although each second would allow more.
    assert granted == 3


@pytest.mark.parametrize(
    "limit",
    [per(WindowUnit.MINUTE, 1), per(WindowUnit.DAY, 1), per(WindowUnit.TOTAL, 1)],
    ids=lambda limit: limit.name,
)
@pytest.mark.parametrize("back_seconds", [0.5, 30.0, 100_000.0])
async def test_what_was_used_still_counts_when_the_clock_is_set_back(world, limit, back_seconds):
    subjects = [key("k", limit)]
    await spend(world, subjects)

    world.clock.advance(-back_seconds)

    assert isinstance(await world.hold("second", subjects), LimitReached)


async def test_a_day_is_not_forgotten_when_the_clock_is_set_back_over_midnight(world):
    subjects = [key("k", per(WindowUnit.DAY, 2))]
    midnight = datetime(2026, 11, 2, tzinfo=ZoneInfo("UTC"))
    world.clock.time = int(midnight.timestamp()) * 1_000 - 100
    await spend(world, subjects, "before")
    world.clock.time += 200
    await spend(world, subjects, "after")

    world.clock.time -= 200

    assert isinstance(await world.hold("again", subjects), LimitReached)


async def test_concurrency_has_no_window(world):
    subjects = [key("k", places(1), per(WindowUnit.SECOND, 100))]
    await world.hold("g1", subjects, Amounts(concurrency=1), ttl=3_600)

    world.clock.advance(3_599)

    refused = await world.hold("g2", subjects, Amounts(concurrency=1))
    assert refused.limit.kind is LimitKind.CONCURRENCY
    assert refused.retry_after_seconds == 1.0
