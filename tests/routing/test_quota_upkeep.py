"""What is held is renewed while it is in use, and given back when it is not."""

import pytest
from routing.fakes import Clock
from routing.metering_values import chain, limit
from routing.quota_values import AWAY, ONE, ScriptedCalls, grant

from meshgate.limits.amounts import Amounts
from meshgate.limits.messages import amounts_of
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.grant import Grant
from meshgate.routing.peers.quota.holdings import Holdings
from meshgate.routing.peers.quota.places import PlaceGrant
from meshgate.routing.peers.quota.upkeep import Upkeep
from meshgate.runtime.errors import HoldUnknownError

MINE = chain(limit("requests", 1_000), limit("concurrency", 100))


class Bench:
    """A ttl of 30 s on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.calls = ScriptedCalls()
        self.holdings = Holdings(self.clock)
        self.upkeep = Upkeep(self.calls, self.holdings, 30.0)  # type: ignore[arg-type]

    @property
    def account(self) -> Account:
        return self.holdings.account(MINE)

    def hold(self, name: str = "h1") -> Grant:
        """One request's, all of it taken."""
        one = grant(ONE, grant_id=name, asked_at=self.clock.time)
        one.take(ONE)
        one.released = True
        self.holdings.keep(one)
        return one

    def lease(self, units: int) -> Grant:
        one = grant(ONE.times(units), grant_id="l1", asked_at=self.clock.time)
        self.holdings.keep(one)
        self.account.leased(one, units, units)
        return one

    def lend(self, size: int) -> PlaceGrant:
        places = PlaceGrant("p1", size, self.clock.time)
        self.account.places.add(places)
        return places

    async def after(self, seconds: float) -> None:
        self.clock.time += seconds
        await self.upkeep.look()

    @property
    def renewed(self) -> list[str]:
        return [item.grant_id for item in self.calls.extended]

    @property
    def given_back(self) -> list[tuple[str, Amounts]]:
        """What was given back, with what is still in use of it."""
        return [(item.grant_id, amounts_of(item.used)) for item in self.calls.released]


@pytest.fixture
def bench() -> Bench:
    return Bench()


class TestRenewing:
    async def test_a_third_of_the_ttl_passes_between_two_signs_of_life(self, bench: Bench) -> None:
        bench.hold()
        for _ in range(8):
            await bench.after(5)

        assert len(bench.renewed) == 4

    async def test_what_is_settled_needs_none(self, bench: Bench) -> None:
        bench.hold().book(ONE, ONE)

        await bench.after(11)

        assert bench.renewed == []

    async def test_a_lease_of_which_a_stream_still_runs_is_renewed(self, bench: Bench) -> None:
        bench.lease(5).take(ONE)
        await bench.after(2)

        await bench.after(9)

        assert bench.renewed == ["l1"]

    async def test_while_quota_is_away_it_is_tried_again_each_time(self, bench: Bench) -> None:
        bench.hold()
        bench.calls.failure = AWAY

        await bench.after(10)
        await bench.after(0.25)
        bench.calls.failure = None
        await bench.after(0.25)
        await bench.after(0.25)

        assert bench.renewed == ["h1"] * 3

    async def test_what_quota_knows_no_more_is_forgotten(self, bench: Bench) -> None:
        bench.hold()
        bench.calls.refusals["h1"] = HoldUnknownError("no such grant")

        await bench.after(10)
        await bench.after(10)

        assert bench.renewed == ["h1"]

    async def test_one_that_is_unknown_keeps_no_other_from_being_renewed(
        self, bench: Bench
    ) -> None:
        bench.hold("h1")
        other = bench.hold("h2")
        bench.calls.refusals["h1"] = HoldUnknownError("no such grant")

        await bench.after(10)

        assert other.alive_at == bench.clock.time


class TestPlaces:
    async def test_places_that_are_used_are_renewed(self, bench: Bench) -> None:
        bench.lend(1)
        bench.account.take_place()

        await bench.after(10)

        assert bench.renewed == ["p1"]

    async def test_places_that_quota_knows_no_more_are_not_given(self, bench: Bench) -> None:
        bench.lend(2)
        bench.account.take_place()
        bench.calls.refusals["p1"] = HoldUnknownError("no such grant")

        await bench.after(10)

        assert not bench.account.take_place()

    async def test_places_are_given_while_quota_cannot_have_lent_them_to_others(
        self, bench: Bench
    ) -> None:
        bench.lend(1)
        bench.account.take_place()
        bench.calls.failure = AWAY
        await bench.after(19)
        bench.account.places.leave()

        assert bench.account.take_place()

    async def test_and_not_when_it_may_have(self, bench: Bench) -> None:
        bench.lend(1)
        bench.account.take_place()
        bench.calls.failure = AWAY
        await bench.after(21)
        bench.account.places.leave()

        assert not bench.account.take_place()

    async def test_of_those_that_are_given_up_quota_hears_as_soon_as_it_can(
        self, bench: Bench
    ) -> None:
        bench.lend(5)
        for _ in range(5):
            bench.account.take_place()
        for _ in range(3):
            bench.account.places.leave()
        bench.calls.failure = AWAY

        await bench.after(21)

        assert bench.given_back == [("p1", Amounts(concurrency=2))]

    async def test_those_that_nobody_needs_go_back(self, bench: Bench) -> None:
        bench.lend(5)
        for _ in range(3):
            bench.account.take_place()

        await bench.after(0.25)

        assert bench.given_back == [("p1", Amounts(concurrency=3))]


class TestGivingBack:
    async def test_the_rest_of_a_lease_goes_back_when_its_time_is_over(self, bench: Bench) -> None:
        bench.lease(5).take(ONE)

        await bench.after(1.9)
        assert bench.given_back == []
        await bench.after(0.1)

        assert bench.given_back == [("l1", ONE)]

    async def test_it_goes_back_once(self, bench: Bench) -> None:
        bench.lease(5)

        await bench.after(2)
        await bench.after(2)

        assert len(bench.given_back) == 1

    async def test_a_lease_that_is_used_up_has_no_rest(self, bench: Bench) -> None:
        bench.lease(1).take(ONE)

        await bench.after(2)

        assert bench.given_back == []

    async def test_what_was_put_back_before_is_part_of_the_rest(self, bench: Bench) -> None:
        lease = bench.lease(5)
        lease.take(ONE)
        lease.put_back(ONE)

        await bench.after(2)

        assert bench.given_back == [("l1", Amounts())]

    async def test_at_the_end_nothing_is_kept_that_is_not_in_use(self, bench: Bench) -> None:
        bench.lease(5).take(ONE)
        bench.lend(5)
        for _ in range(4):
            bench.account.take_place()
        for _ in range(3):
            bench.account.places.leave()

        await bench.upkeep.give_all_back()

        assert bench.given_back == [("l1", ONE), ("p1", Amounts(concurrency=1))]
        assert bench.account.take(ONE) is None
        assert not bench.account.take_place()


class TestForgetting:
    def test_a_lease_is_known_until_it_is_given_back_and_settled(self, bench: Bench) -> None:
        lease = bench.lease(5)
        lease.take(ONE)
        bench.holdings.forget()
        assert "l1" in bench.holdings.grants

        lease.released = True
        bench.holdings.forget()
        assert "l1" in bench.holdings.grants

        lease.book(ONE, ONE)
        bench.holdings.forget()
        assert "l1" not in bench.holdings.grants

    def test_one_of_which_nothing_was_taken_is_known_while_it_may_be(self, bench: Bench) -> None:
        bench.lease(5)

        bench.holdings.forget()

        assert "l1" in bench.holdings.grants

    def test_of_very_many_accounts_those_that_hold_something_are_kept(self, bench: Bench) -> None:
        bench.lease(5)
        for number in range(10_000):
            bench.holdings.account(chain(limit("requests", 1), key=str(number)))

        bench.holdings.forget()

        assert list(bench.holdings.accounts) == [MINE.identity]

    def test_few_accounts_are_kept(self, bench: Bench) -> None:
        account = bench.account

        bench.holdings.forget()

        assert bench.account is account

    def test_requests_without_limits_share_a_ledger_for_a_minute(self, bench: Bench) -> None:
        first = bench.holdings.ledger("acme")
        bench.clock.time += 59
        bench.holdings.forget()
        assert bench.holdings.ledger("acme") is first

        bench.clock.time += 2
        bench.holdings.forget()
        assert bench.holdings.ledger("acme") is not first

    def test_each_organization_has_its_own(self, bench: Bench) -> None:
        assert bench.holdings.ledger("acme") is not bench.holdings.ledger("other")
