"""How grants end: given back, settled, or left behind; on every store."""

import pytest
from quota.worlds import ONE, key, per, places, soon

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LARGEST_AMOUNT, Enforcement, LimitKind, WindowUnit
from meshgate.quota.grants import Booking, GrantSettlement, NotGranted, Settlement

HOUR = WindowUnit.HOUR
BUDGET = [key("k", per(WindowUnit.TOTAL, 100, LimitKind.COST), places(1))]
HELD = Amounts(cost_nanos=40, concurrency=1)


async def left(world, subjects=BUDGET) -> int:
    """How much of the budget is left."""
    low, high = 0, 200
    while low < high:
        middle = (low + high + 1) // 2
        fits = await world.fits(subjects, Amounts(cost_nanos=middle))
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


async def test_settling_books_what_was_spent_and_gives_back_the_rest(world):
    await world.hold("g", BUDGET, HELD)

    booking = await world.settle("g", BUDGET, Amounts(cost_nanos=15), HELD)

    assert booking is Booking.BOOKED
    assert await left(world) == 85
    assert await world.fits(BUDGET, Amounts(concurrency=1))


async def test_what_was_spent_is_booked_in_full_even_past_the_limit(world):
    await world.hold("g", BUDGET, HELD)

    await world.settle("g", BUDGET, Amounts(cost_nanos=170), HELD)

    assert await left(world) == 0
    assert (await world.hold("h", BUDGET, Amounts(cost_nanos=1))).remaining == 0


async def test_a_settlement_that_comes_again_changes_nothing(world):
    await world.hold("g", BUDGET, HELD)
    await world.settle("g", BUDGET, Amounts(cost_nanos=15), HELD)

    again = await world.settle("g", BUDGET, Amounts(cost_nanos=15), HELD)

    assert again is Booking.REPEATED
    assert await left(world) == 85


async def test_what_was_spent_of_what_nothing_was_held_of_is_booked(world):
    subjects = [key("k", per(HOUR, 50, LimitKind.OUTPUT_TOKENS), per(HOUR, 10))]
    await world.hold("g", subjects, ONE)

    await world.settle("g", subjects, Amounts(requests=1, output_tokens=45))

    assert not await world.fits(subjects, Amounts(output_tokens=6))
    assert await world.fits(subjects, Amounts(output_tokens=5))


async def test_concurrency_is_never_spent(world):
    await world.hold("g", BUDGET, HELD)

    await world.settle("g", BUDGET, Amounts(concurrency=5), HELD)

    assert await world.fits(BUDGET, Amounts(concurrency=1))


async def test_a_lease_is_settled_bit_by_bit(world):
    subjects = [key("k", per(HOUR, 6_400, LimitKind.COST))]
    await world.lease("l", subjects, Amounts(cost_nanos=1), 100)

    bookings = [
        await world.settle(
            "l", subjects, Amounts(cost_nanos=10), Amounts(cost_nanos=20), sequence=number
        )
        for number in (0, 1, 1, 2)
    ]

    assert bookings == [Booking.BOOKED, Booking.BOOKED, Booking.REPEATED, Booking.BOOKED]
    # 30 are spent, 40 are held.
    assert await world.fits(subjects, Amounts(cost_nanos=6_330))
    assert not await world.fits(subjects, Amounts(cost_nanos=6_331))


async def test_several_settlements_of_a_grant_go_together(world):
    subjects = (key("k", per(HOUR, 100)),)
    await world.lease("l", subjects, ONE, 1, least=Amounts(requests=5))
    settlements = tuple(Settlement(n, ONE, ONE) for n in (0, 1, 0))

    (bookings,) = await world.store.settle(
        [GrantSettlement("l", "acme", subjects, None, settlements)], soon()
    )

    assert list(bookings) == [Booking.BOOKED, Booking.BOOKED, Booking.REPEATED]


async def test_what_is_given_back_is_free_again(world):
    await world.hold("g", BUDGET, HELD)

    await world.release("g")
    await world.release("g")

    assert await left(world) == 100
    assert await world.hold("g", BUDGET, HELD) is NotGranted.RELEASED


@pytest.mark.parametrize("settled_first", [True, False])
async def test_a_release_gives_back_all_but_what_was_ever_used(world, settled_first):
    subjects = [key("k", per(HOUR, 6_400, LimitKind.COST))]
    await world.lease("l", subjects, Amounts(cost_nanos=1), 100)

    async def settle():
        await world.settle("l", subjects, Amounts(cost_nanos=5), Amounts(cost_nanos=10))

    if settled_first:
        await settle()
    await world.release("l", Amounts(cost_nanos=30))
    await world.release("l", Amounts(cost_nanos=30))
    if not settled_first:
        await settle()

    # Of 30 that were used, 10 were settled for 5.
    assert await world.fits(subjects, Amounts(cost_nanos=6_375))
    assert not await world.fits(subjects, Amounts(cost_nanos=6_376))


async def test_a_release_after_the_settlement_changes_nothing(world):
    await world.hold("g", BUDGET, HELD)
    await world.settle("g", BUDGET, Amounts(cost_nanos=15), HELD)

    await world.release("g")

    assert await left(world) == 85


async def test_when_the_owner_is_gone_places_come_free_and_the_rest_is_spent(world):
    await world.hold("g", BUDGET, HELD, ttl=30)

    world.clock.advance(29.999)
    before = await world.fits(BUDGET, Amounts(concurrency=1))
    world.clock.advance(0.001)

    assert not before
    assert await world.fits(BUDGET, Amounts(concurrency=1))
    assert await left(world) == 60
    assert world.recorder.abandonments == 1


async def test_a_sweep_notices_those_who_are_gone(world):
    for number in range(3):
        await world.hold(f"g{number}", [key("k", places(9))], Amounts(concurrency=1), ttl=30)
    world.clock.advance(30)

    assert (await world.sweep(), await world.sweep()) == (3, 0)


async def test_a_hold_of_one_who_was_gone_is_not_granted_again(world):
    await world.hold("g", BUDGET, HELD, ttl=1)
    world.clock.advance(1)

    assert await world.hold("g", BUDGET, HELD) is NotGranted.RELEASED


async def test_a_late_settlement_replaces_what_was_booked_when_the_ttl_passed_once(world):
    await world.hold("g", BUDGET, HELD, ttl=1)
    world.clock.advance(1)
    await world.sweep()

    late = await world.settle("g", BUDGET, Amounts(cost_nanos=15), HELD)
    again = await world.settle("g", BUDGET, Amounts(cost_nanos=15), HELD)

    assert (late, again) == (Booking.LATE, Booking.REPEATED)
    assert await left(world) == 85


async def test_a_late_settlement_takes_no_place_that_another_one_has_now(world):
    await world.hold("g", BUDGET, HELD, ttl=1)
    world.clock.advance(1)
    await world.hold("other", BUDGET, Amounts(concurrency=1))

    await world.settle("g", BUDGET, Amounts(cost_nanos=15), HELD)

    assert not await world.fits(BUDGET, Amounts(concurrency=1))


async def test_a_late_release_gives_back_what_was_never_used(world):
    await world.hold("g", BUDGET, HELD, ttl=1)
    world.clock.advance(1)
    await world.sweep()

    await world.release("g")

    assert await left(world) == 100


async def test_a_settlement_without_a_grant_is_booked_all_the_same(world):
    booking = await world.settle("lost", BUDGET, Amounts(cost_nanos=15), HELD)
    again = await world.settle("lost", BUDGET, Amounts(cost_nanos=15), HELD)

    assert (booking, again) == (Booking.UNHELD, Booking.REPEATED)
    assert await left(world) == 85


async def test_a_settlement_without_a_grant_is_booked_in_the_window_of_the_grant(world):
    subjects = [
        key(
            "k",
            per(WindowUnit.MINUTE, 10),
            per(WindowUnit.DAY, 20, time_zone="Europe/Berlin"),
            per(WindowUnit.TOTAL, 30),
        )
    ]
    granted_at = world.clock.time
    world.clock.advance(120)

    await world.settle("lost", subjects, Amounts(requests=5), granted_at=granted_at)

    assert await world.fits(subjects, Amounts(requests=10))
    state = (await world.hold("g", subjects)).states[0]
    assert (state.limit.name, state.remaining) == ("requests/day", 14)


async def test_a_settlement_of_a_moment_to_come_is_booked_now(world):
    subjects = [key("k", per(WindowUnit.MINUTE, 10))]

    await world.settle("lost", subjects, Amounts(requests=5), granted_at=world.clock.time + 10**12)

    assert not await world.fits(subjects, Amounts(requests=6))


async def test_a_settlement_under_no_limits_is_only_remembered(world):
    first = await world.settle("ledger", [], ONE, Amounts())
    again = await world.settle("ledger", [], ONE, Amounts())

    assert (first, again) == (Booking.UNHELD, Booking.REPEATED)


async def test_a_settlement_after_the_window_leaves_the_new_one_alone(world):
    subjects = [key("k", per(WindowUnit.MINUTE, 10))]
    await world.hold("g", subjects, ttl=3_600)
    world.clock.advance(120)

    await world.settle("g", subjects, Amounts(requests=9))

    assert await world.fits(subjects, Amounts(requests=10))


async def test_more_than_can_be_counted_exactly_stays_over_every_limit(world):
    subjects = [key("k", per(WindowUnit.TOTAL, LARGEST_AMOUNT, LimitKind.INPUT_TOKENS))]
    most = Amounts(input_tokens=LARGEST_AMOUNT)
    await world.hold("g", subjects, Amounts(input_tokens=10))
    await world.settle("g", subjects, most)
    await world.settle("h", subjects, most)

    await world.settle("i", subjects, Amounts(), most)

    assert not await world.fits(subjects, Amounts(input_tokens=1))


async def test_a_soft_limit_is_told_when_a_settlement_passes_it(world):
    soft = per(HOUR, 50, LimitKind.COST, enforcement=Enforcement.SOFT)
    subjects = [key("k", soft)]
    await world.hold("g", subjects, Amounts(cost_nanos=10))

    await world.settle("g", subjects, Amounts(cost_nanos=60))

    assert [(alert.limit, alert.total) for alert in world.recorder.alerts] == [(soft, 60)]


async def test_a_lease_of_nothing_ends_quietly(world):
    await world.lease("l", [key("k", places(1))], Amounts(concurrency=1), 5, ttl=1)
    world.clock.advance(1)

    assert await world.sweep() == 0
