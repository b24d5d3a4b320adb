"""Who has failed several times in a row is left alone for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.runtime.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=3, pause_seconds=1.0, now=clock)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_two_failures_keep_nobody_from_asking(breaker):
    fail(breaker, 2)

    assert breaker.allows()
    assert not breaker.is_open


def test_three_failures_keep_everybody_from_asking(breaker):
    fail(breaker, 3)

    assert not breaker.allows()
    assert breaker.is_open


def test_a_success_in_between_counts_all_failures_anew(breaker):
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)

    assert breaker.allows()


def test_after_the_pause_one_may_ask_and_the_others_wait_for_it(breaker, clock):
    fail(breaker, 3)

    clock.time += 1.0

    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_one_that_never_says_how_it_went_keeps_the_others_for_one_pause_only(breaker, clock):
    fail(breaker, 3)
    clock.time += 1.0
    breaker.allows()

    clock.time += 1.0

    assert breaker.allows()


def test_the_first_success_after_the_pause_lets_everybody_ask(breaker, clock):
    fail(breaker, 3)
    clock.time += 1.0
    breaker.allows()

    breaker.succeeded()

    assert all(breaker.allows() for _ in range(3))


def test_a_failure_after_the_pause_is_another_pause(breaker, clock):
    fail(breaker, 3)
    clock.time += 1.0
    breaker.allows()
    breaker.failed()

    clock.time += 0.9

    assert not breaker.allows()


@given(st.lists(st.booleans(), max_size=200))
def test_one_that_always_fails_is_asked_about_once_a_pause(steps):
    clock = Clock()
    breaker = Breaker(failures=3, pause_seconds=1.0, now=clock)
    asked = 0
    for passes in steps:
        clock.time += 0.5 if passes else 0.0
        if breaker.allows():
            asked += 1
            breaker.failed()

    assert asked <= 3 + sum(steps) / 2
