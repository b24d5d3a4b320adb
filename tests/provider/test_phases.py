import asyncio

import pytest

from meshgate.provider.phases import Phase, PhaseClock, PhaseTimeoutError, PhaseTimeouts

SOON = 0.02


@pytest.fixture
def make_clock():
    clocks = []

    def make(**timeouts):
        clocks.append(PhaseClock(PhaseTimeouts(**timeouts)))
        return clocks[-1]

    yield make
    for clock in clocks:
        clock.close()


async def wait_for_ever(clock):
    with clock:
        await asyncio.Event().wait()


async def exceed(clock):
    """The phase that a wait without end exceeds."""
    with pytest.raises(PhaseTimeoutError) as caught:
        await wait_for_ever(clock)
    return caught.value.phase


async def test_the_first_wait_is_bounded_by_the_first_token(make_clock):
    assert await exceed(make_clock(first_token_seconds=SOON)) is Phase.FIRST_TOKEN


async def test_after_the_first_byte_the_time_between_tokens_counts(make_clock):
    clock = make_clock(first_token_seconds=60, between_tokens_seconds=SOON)
    with clock:
        clock.first_byte()

    assert await exceed(clock) is Phase.BETWEEN_TOKENS


async def test_the_total_ends_whatever_phase_it_is(make_clock):
    clock = make_clock(first_token_seconds=60, between_tokens_seconds=60, total_seconds=SOON)
    clock.first_byte()

    assert await exceed(clock) is Phase.TOTAL


async def test_a_total_that_has_passed_ends_the_next_wait_at_once(make_clock):
    assert await exceed(make_clock(total_seconds=-1)) is Phase.TOTAL


async def test_time_outside_of_waits_does_not_count_between_tokens(make_clock):
    clock = make_clock(between_tokens_seconds=SOON)
    with clock:
        clock.first_byte()
    with clock:
        await asyncio.sleep(0)

    # As much time passes as a wait may take.
    assert await exceed(make_clock(total_seconds=2 * SOON)) is Phase.TOTAL
    with clock:
        await asyncio.sleep(0)

    assert await exceed(clock) is Phase.BETWEEN_TOKENS


async def test_a_wait_that_ends_in_time_moves_the_bound_on(make_clock):
    clock = make_clock(first_token_seconds=SOON)
    with clock:
        await asyncio.sleep(0)
    clock.between(60)

    assert await exceed(make_clock(total_seconds=2 * SOON)) is Phase.TOTAL
    with clock:
        await asyncio.sleep(0)


async def test_a_bound_that_comes_earlier_than_the_last_one_holds(make_clock):
    clock = make_clock(first_token_seconds=60)
    with clock:
        await asyncio.sleep(0)

    clock.between(SOON)

    assert await exceed(clock) is Phase.BETWEEN_TOKENS


async def test_a_cancel_from_outside_stays_a_cancel(make_clock):
    waiting = asyncio.create_task(wait_for_ever(make_clock(first_token_seconds=60)))
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_error_of_what_was_waited_for_passes(make_clock):
    with pytest.raises(OSError, match="broken"), make_clock(first_token_seconds=60):
        raise OSError("broken")


async def test_unbounded_phases_set_no_timer(make_clock):
    clock = make_clock()

    with clock:
        await asyncio.sleep(0)

    assert clock._timer is None


async def test_the_time_of_the_first_byte_is_kept(make_clock):
    clock = make_clock()

    clock.first_byte()
    first = clock.first_byte_at
    clock.first_byte()

    assert first is not None
    assert clock.first_byte_at == first >= clock.started_at


async def test_it_bounds_whichever_task_waits_now(make_clock):
    clock = make_clock(between_tokens_seconds=SOON)
    clock.first_byte()
    await asyncio.create_task(enter_and_leave(clock))

    assert await asyncio.create_task(exceed(clock)) is Phase.BETWEEN_TOKENS


async def enter_and_leave(clock):
    with clock:
        pass
