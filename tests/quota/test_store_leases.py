"""Leases and extensions; on every store."""

import pytest
from quota.worlds import ONE, key, per, places

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import Enforcement, LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.quota.grants import Grant, LimitReached, NotGranted

HOUR = WindowUnit.HOUR
UNIT = Amounts(requests=1, input_tokens=10)


async def test_a_lease_is_the_least_and_a_whole_number_of_units(world):
    subjects = [key("k", per(HOUR, 100_000))]

    grant = await world.lease("l", subjects, UNIT, 7, least=Amounts(requests=1, output_tokens=5))

    assert grant.amounts == Amounts(requests=8, input_tokens=70, output_tokens=5)


async def test_a_lease_takes_at_most_a_64th_of_what_is_left_beside_the_least(world):
    subjects = [key("k", per(HOUR, 6_401), per(HOUR, 64_000, LimitKind.TOKENS))]

    grant = await world.lease("l", subjects, UNIT, 1_000, least=ONE)

    assert grant.amounts == Amounts(requests=101, input_tokens=1_000)
    assert await world.fits(subjects, Amounts(requests=6_300))


async def test_a_lease_takes_at_most_a_16th_of_the_places_left(world):
    grant = await world.lease("l", [key("k", places(160))], Amounts(concurrency=1), 1_000)

    assert grant.amounts == Amounts(concurrency=10)


async def test_near_a_limit_a_lease_shrinks_to_the_request_at_hand(world):
    grant = await world.lease("l", [key("k", per(HOUR, 50))], ONE, 1_000, least=ONE)

    assert grant.amounts == ONE


async def test_a_lease_whose_least_does_not_fit_is_refused(world):
    refused = await world.lease("l", [key("k", per(HOUR, 1))], ONE, 10, least=Amounts(requests=2))

    assert isinstance(refused, LimitReached)


async def test_soft_limits_never_shrink_a_lease(world):
    subjects = [key("k", per(HOUR, 3, enforcement=Enforcement.SOFT))]

    grant = await world.lease("l", subjects, ONE, 500)

    assert grant.amounts == Amounts(requests=500)


@pytest.mark.parametrize(
    ("unit", "seconds"),
    # The clock stands a second before the end of a tenth of a minute.
    [(WindowUnit.SECOND, 0.1), (WindowUnit.MINUTE, 1.0), (HOUR, 2.0), (WindowUnit.TOTAL, 2.0)],
)
async def test_a_lease_lasts_two_seconds_and_never_past_the_end_of_a_bucket(world, unit, seconds):
    world.clock.advance(4)

    grant = await world.lease("l", [key("k", per(unit, 10_000))], ONE, 10)

    assert grant.lease_seconds == seconds


async def test_a_lease_never_lasts_past_the_end_of_a_calendar_window(world):
    subjects = [key("k", per(WindowUnit.DAY, 10_000, time_zone="Asia/Kathmandu"))]
    first = await world.hold("g", subjects)
    reset_seconds = first.states[0].reset_seconds
    world.clock.advance(reset_seconds - 0.3)

    grant = await world.lease("l", subjects, ONE, 10)

    assert grant.lease_seconds == 0.3


async def test_places_alone_are_lent_for_their_ttl_as_extended(world):
    subjects = [key("k", places(160))]
    grant = await world.lease("l", subjects, Amounts(concurrency=1), 5, ttl=30.0)
    world.clock.advance(10)

    extended = await world.extend("l", ttl=30.0)

    assert grant.lease_seconds == 30.0
    assert extended.lease_seconds == 40.0


async def test_a_hold_lends_nothing(world):
    assert (await world.hold("g", [key("k", places(5))])).lease_seconds == 0


async def test_the_same_lease_again_is_answered_the_same(world):
    subjects = [key("k", per(HOUR, 6_400))]
    first = await world.lease("l", subjects, ONE, 1_000)

    again = await world.lease("l", subjects, ONE, 1_000)

    assert (again.amounts, again.lease_seconds) == (first.amounts, first.lease_seconds)


async def test_an_extension_gives_time(world):
    subjects = [key("k", places(1))]
    await world.hold("g", subjects, Amounts(concurrency=1), ttl=10)
    world.clock.advance(9)

    await world.extend("g", ttl=10)
    world.clock.advance(9)

    assert not await world.fits(subjects, Amounts(concurrency=1))


async def test_an_extension_never_takes_time_away(world):
    subjects = [key("k", places(1))]
    await world.hold("g", subjects, Amounts(concurrency=1), ttl=100)

    await world.extend("g", ttl=1)
    world.clock.advance(99)

    assert not await world.fits(subjects, Amounts(concurrency=1))


async def test_an_extension_names_what_is_to_be_held_in_all(world):
    subjects = [key("k", per(HOUR, 100, LimitKind.TOKENS))]
    await world.hold("g", subjects, Amounts(output_tokens=40))

    first = await world.extend("g", Amounts(output_tokens=70))
    again = await world.extend("g", Amounts(output_tokens=70))
    less = await world.extend("g", Amounts(output_tokens=10))

    assert first.amounts == again.amounts == less.amounts == Amounts(output_tokens=70)
    assert await world.fits(subjects, Amounts(output_tokens=30))
    assert not await world.fits(subjects, Amounts(output_tokens=31))


async def test_an_extension_that_is_refused_changes_nothing(world):
    subjects = [key("k", per(HOUR, 100, LimitKind.TOKENS)), key("j", places(1))]
    await world.hold("g", subjects, Amounts(output_tokens=40, concurrency=1), ttl=10)
    world.clock.advance(5)

    refused = await world.extend("g", Amounts(output_tokens=101), ttl=100)
    world.clock.advance(5)

    assert (refused.requested, refused.remaining) == (61, 60)
    # It was not given time either.
    assert await world.fits([key("j", places(1))], Amounts(concurrency=1))


async def test_an_extension_counts_in_the_window_in_which_it_is_asked_for(world):
    subjects = [key("k", per(WindowUnit.MINUTE, 100, LimitKind.TOKENS))]
    await world.hold("old", subjects, Amounts(output_tokens=90), ttl=3_600)
    world.clock.advance(120)
    await world.hold("other", subjects, Amounts(output_tokens=70))

    refused = await world.extend("old", Amounts(output_tokens=150))
    granted = await world.extend("old", Amounts(output_tokens=120))

    assert refused.remaining == 30
    assert granted.amounts.output_tokens == 120
    assert not await world.fits(subjects, Amounts(output_tokens=1))


async def test_an_extension_counts_in_the_calendar_window_in_which_it_is_asked_for(world):
    subjects = [key("k", per(WindowUnit.DAY, 100, LimitKind.TOKENS, time_zone="Europe/Berlin"))]
    await world.hold("old", subjects, Amounts(output_tokens=90), ttl=3_600)
    for _ in range(40):
        world.clock.advance(3_000)
        await world.extend("old", ttl=3_600)

    granted = await world.extend("old", Amounts(output_tokens=150))

    assert granted.amounts.output_tokens == 150
    assert not await world.fits(subjects, Amounts(output_tokens=41))
    assert await world.fits(subjects, Amounts(output_tokens=40))


async def test_what_was_extended_is_booked_where_it_was_held(world):
    subjects = [key("k", per(WindowUnit.MINUTE, 100, LimitKind.TOKENS))]
    await world.hold("g", subjects, Amounts(output_tokens=90), ttl=3_600)
    world.clock.advance(120)
    await world.extend("g", Amounts(output_tokens=190))

    await world.settle("g", subjects, Amounts(output_tokens=130))

    # 90 of them belong to a minute that is over.
    assert await world.fits(subjects, Amounts(output_tokens=60))
    assert not await world.fits(subjects, Amounts(output_tokens=61))


@pytest.mark.parametrize("end", ["never made", "released", "settled", "past its ttl"])
async def test_what_is_gone_cannot_be_extended(world, end):
    subjects = [key("k", places(1))]
    if end != "never made":
        await world.hold("g", subjects, Amounts(concurrency=1), ttl=1)
    if end == "released":
        await world.release("g")
    if end == "settled":
        await world.settle("g", subjects, ONE, Amounts(concurrency=1))
    world.clock.advance(0.5 if end != "past its ttl" else 1)

    assert await world.extend("g") is NotGranted.UNKNOWN


async def test_a_lease_of_which_a_part_was_given_back_can_be_extended(world):
    subjects = [Subject(SubjectKind.MODEL, "m", (places(160),))]
    await world.lease("l", subjects, Amounts(concurrency=1), 8)
    await world.release("l", Amounts(concurrency=3))

    assert isinstance(await world.extend("l"), Grant)
