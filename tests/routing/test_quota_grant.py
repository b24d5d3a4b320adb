"""Grants: what is taken, booked and given back of one sums up, in any order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing.fakes import Clock
from routing.metering_values import chain, limit
from routing.quota_values import ONE, ScriptedCalls, grant

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.messages import amounts_of
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.grant import Grant, new_grant_id, reset_text
from meshgate.routing.peers.quota.part import Part
from meshgate.routing.peers.quota.settling import Settling

SMALL = st.integers(0, 6)
AMOUNTS = st.builds(Amounts, SMALL, SMALL, SMALL, SMALL)


class TestTaking:
    def test_what_is_left_is_given(self) -> None:
        one = grant(ONE.times(2))

        assert [one.take(ONE) for _ in range(3)] == [True, True, False]
        assert one.used == ONE.times(2)

    def test_where_one_thing_is_missing_nothing_is_taken(self) -> None:
        one = grant(Amounts(1, 10, 5))

        assert not one.take(ONE)
        assert one.left.amounts == Amounts(1, 10, 5)

    def test_what_is_put_back_is_given_again(self) -> None:
        one = grant(ONE)
        one.take(ONE)

        one.put_back(ONE)

        assert (one.used, one.unsettled) == (NOTHING, 0)
        assert one.take(ONE)

    def test_a_lease_is_counted_from_when_it_was_asked_for(self) -> None:
        assert grant(ONE, lease=1.5, asked_at=10.0).admits_until == 11.5


class TestBooking:
    def test_overruns_do_not_cancel_out(self) -> None:
        one = grant(Amounts(input_tokens=20))
        for spent in (5, 15):
            one.take(Amounts(input_tokens=10))
            one.book(Amounts(input_tokens=10), Amounts(input_tokens=spent))

        (settlement,) = one.settlement().settlements

        assert settlement.spent.input_tokens == 20
        assert settlement.overrun.input_tokens == 5

    def test_a_second_settlement_tells_only_of_what_came_since(self) -> None:
        one = grant(ONE.times(2))
        one.take(ONE)
        one.book(ONE, ONE, b"a")
        one.settlement()
        one.take(ONE)
        one.book(ONE, NOTHING, b"b")

        (settlement,) = one.settlement().settlements

        assert settlement.sequence == 1
        assert (settlement.held.requests, settlement.spent.requests) == (1, 0)
        assert settlement.records == b"b"

    def test_a_settlement_says_whose_it_is(self) -> None:
        subjects = chain(limit("requests", 1)).subjects
        one = grant(ONE, grant_id="g7", subjects=subjects)

        message = one.settlement()

        assert (message.grant_id, message.partition) == ("g7", "acme")
        assert [subject.id for subject in message.subjects] == ["k1"]

    def test_no_two_grants_have_the_same_id(self) -> None:
        assert len({new_grant_id() for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (-3, "0ms"),
        (0.0004, "0ms"),
        (0.12, "120ms"),
        (0.9994, "999ms"),
        (0.9996, "1s"),
        (1, "1s"),
        (59.4, "59s"),
        (59.7, "1m0s"),
        (360, "6m0s"),
        (3599.9, "1h0m0s"),
        (86_400, "24h0m0s"),
        (90_061, "25h1m1s"),
    ],
)
def test_times_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert reset_text(seconds) == text


class World:
    """A lease, its requests, and what quota was told."""

    def __init__(self, granted: Amounts) -> None:
        account = Account(
            chain(limit("requests", 1), limit("tokens", 1), limit("cost", 1)), Clock()
        )
        self.granted = granted
        self.lease = grant(granted)
        self.settling = Settling(ScriptedCalls())  # type: ignore[arg-type]
        self.account = account
        self.open: list[Part] = []
        self.booked: list[Any] = []
        self.spent = NOTHING
        self.given_back = NOTHING

    def take(self, use: Amounts) -> None:
        if not self.lease.released and self.lease.take(use):
            self.open.append(Part(self.account, self.settling, self.lease, use))

    def settle(self, spent: Amounts) -> None:
        if self.open:
            self.open.pop(0).settle(spent)
            self.spent += spent

    def give_back(self) -> None:
        if self.open:
            self.open.pop().give_back()

    def release(self) -> None:
        if not self.lease.released:
            self.lease.released = True
            self.given_back = self.granted.minus(self.lease.used)

    def send(self) -> None:
        if self.lease.bookings:
            self.booked += self.lease.settlement().settlements

    def sum(self, what: str) -> Amounts:
        total = NOTHING
        for settlement in self.booked:
            total += amounts_of(getattr(settlement, what))
        return total


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), AMOUNTS),
        st.tuples(st.just("settle"), AMOUNTS),
        st.tuples(st.sampled_from(["give_back", "release", "send"])),
    ),
    max_size=50,
)


@given(st.builds(Amounts, *[st.integers(0, 40)] * 4), STEPS)
def test_nothing_of_a_lease_is_lost_or_told_twice(granted: Amounts, steps: list[Any]) -> None:
    """Whatever happens in whatever order, all of it is either booked or given back."""
    world = World(granted)
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
        assert world.lease.used + world.lease.left.amounts == granted
        assert world.lease.unsettled == len(world.open)
    world.release()
    while world.open:
        world.give_back()
    world.send()

    assert world.lease.unsettled == 0
    assert world.sum("spent") == world.spent
    assert world.sum("held") + world.given_back == granted
    assert [one.sequence for one in world.booked] == list(range(len(world.booked)))


def _grant(one: Part) -> Grant:
    assert one.grant is not None
    return one.grant


class TestParts:
    def test_a_part_of_a_hold_that_is_given_back_is_settled_with_nothing(self) -> None:
        calls = ScriptedCalls()
        account = Account(chain(limit("requests", 1)), Clock())
        hold = grant(ONE)
        hold.take(ONE)
        hold.released = True
        part = Part(account, Settling(calls), hold, ONE)  # type: ignore[arg-type]

        part.give_back()

        (settlement,) = _grant(part).settlement().settlements
        assert amounts_of(settlement.held) == ONE
        assert amounts_of(settlement.spent) == NOTHING

    def test_of_what_was_used_more_parts_take_what_they_held(self) -> None:
        account = Account(chain(limit("tokens", 1)), Clock())
        settling = Settling(ScriptedCalls())  # type: ignore[arg-type]
        first, more = grant(Amounts(1, 10, 20)), grant(Amounts(0, 0, 30), grant_id="g2")
        first.take(Amounts(0, 10, 20))
        more.take(Amounts(0, 0, 30))
        part = Part(account, settling, first, Amounts(0, 10, 20))
        part.extend(Part(account, settling, more, Amounts(0, 0, 30)))

        part.settle(Amounts(1, 9, 65))

        (own,), (others,) = first.settlement().settlements, more.settlement().settlements
        assert amounts_of(own.spent) == Amounts(0, 9, 35)
        assert amounts_of(own.overrun) == Amounts(0, 0, 15)
        assert amounts_of(others.spent) == Amounts(0, 0, 30)
        assert amounts_of(others.overrun) == NOTHING
