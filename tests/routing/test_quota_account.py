"""How much an account asks for ahead, and what it gives of what it has."""

import asyncio
import math

import pytest
from routing.fakes import Clock
from routing.metering_values import chain, limit
from routing.quota_values import ONE, grant

from meshgate.limits.amounts import Amounts
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.places import PlaceGrant


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(clock: Clock) -> Account:
    return Account(chain(limit("requests", 10**6)), clock)


def come(account: Account, times: int = 1) -> int:
    """So many requests that find nothing here; for how many a lease is wanted then."""
    for _ in range(times):
        account.note(ONE)
        account.take(ONE)
    return account.lease_wanted() if account.wants_lease else 0


async def ask(account: Account) -> None:
    account.asking(asyncio.create_task(asyncio.sleep(0)))


async def lend(account: Account, clock: Clock, units: int, asked: int | None = None) -> None:
    await ask(account)
    lease = grant(ONE.times(units), asked_at=clock.time)
    account.leased(lease, units, asked or units)


class TestDemand:
    def test_one_request_wants_no_lease(self, account: Account) -> None:
        assert come(account) == 0

    def test_requests_now_and_then_never_want_a_lease(self, account: Account, clock: Clock) -> None:
        wanted = []
        for _ in range(20):
            clock.time += 3
            wanted.append(come(account))

        assert wanted == [0] * 20

    def test_requests_in_quick_succession_want_one(self, account: Account) -> None:
        come(account)

        assert come(account) >= 2

    def test_after_a_long_silence_a_burst_is_seen_for_what_it_is(
        self, account: Account, clock: Clock
    ) -> None:
        come(account)
        clock.time += 3600

        assert come(account) == 0
        assert come(account, 50) > 50

    async def test_a_lease_is_as_large_as_what_was_used_lately(
        self, account: Account, clock: Clock
    ) -> None:
        await lend(account, clock, 1)
        clock.time += 1

        wanted = come(account, 100)

        assert wanted == math.ceil(100 * 2.0 * 1.25)

    async def test_a_lease_has_an_upper_bound(self, account: Account, clock: Clock) -> None:
        await lend(account, clock, 1)

        assert come(account, 10_000) == 16_384

    async def test_while_one_is_asked_for_no_other_is(self, account: Account) -> None:
        come(account, 10)
        await ask(account)

        assert come(account, 10) == 0

    def test_after_a_refusal_there_is_a_pause(self, account: Account, clock: Clock) -> None:
        come(account, 10)
        account.refused()

        assert come(account, 10) == 0
        clock.time += 1.0
        assert come(account, 10) > 0

    async def test_after_much_less_than_was_asked_for_there_is_a_short_pause(
        self, account: Account, clock: Clock
    ) -> None:
        await lend(account, clock, 2, asked=100)

        assert come(account, 20) == 0
        clock.time += 0.1
        assert come(account, 20) > 0


class TestTaking:
    async def test_a_lease_gives_until_it_is_used_up(self, account: Account, clock: Clock) -> None:
        await lend(account, clock, 2)

        assert [account.take(ONE) is not None for _ in range(3)] == [True, True, False]

    async def test_a_lease_gives_nothing_after_its_time(
        self, account: Account, clock: Clock
    ) -> None:
        await lend(account, clock, 2)
        clock.time += 2.0

        assert account.take(ONE) is None

    async def test_a_lease_whose_answer_came_late_gives_nothing(
        self, account: Account, clock: Clock
    ) -> None:
        await ask(account)
        lease = grant(ONE.times(5), asked_at=clock.time)
        clock.time += 3

        account.leased(lease, 5, 5)

        assert account.take(ONE) is None
        assert account.retired(clock.time) == [lease]

    async def test_what_one_lease_has_no_more_the_next_one_gives(
        self, account: Account, clock: Clock
    ) -> None:
        await lend(account, clock, 1)
        await lend(account, clock, 1)

        assert [account.take(ONE) is not None for _ in range(3)] == [True, True, False]

    async def test_a_request_larger_than_what_is_left_gets_nothing(
        self, account: Account, clock: Clock
    ) -> None:
        await lend(account, clock, 2)

        assert account.take(ONE.times(3)) is None
        assert account.take(ONE) is not None

    async def test_a_fresh_lease_wants_no_other(self, account: Account, clock: Clock) -> None:
        await lend(account, clock, 100)

        assert come(account, 10) == 0

    async def test_one_that_runs_low_wants_another(self, account: Account, clock: Clock) -> None:
        await lend(account, clock, 100)

        assert come(account, 80) > 0

    async def test_one_that_ends_soon_wants_another(self, account: Account, clock: Clock) -> None:
        await lend(account, clock, 100)
        clock.time += 1.7

        assert come(account, 5) > 0

    async def test_what_is_over_is_taken_out_once(self, account: Account, clock: Clock) -> None:
        await lend(account, clock, 1)
        clock.time += 2.0

        assert len(account.retired(clock.time)) == 1
        assert account.retired(clock.time) == []

    async def test_closed_it_has_nothing(self, account: Account, clock: Clock) -> None:
        await lend(account, clock, 5)

        assert len(account.close()) == 1
        assert account.take(ONE) is None


class TestUnits:
    def test_the_first_request_is_the_unit(self, account: Account) -> None:
        account.note(ONE)

        assert account.unit == ONE

    def test_a_unit_follows_what_requests_use(self, account: Account) -> None:
        account.note(ONE)
        for _ in range(200):
            account.note(Amounts(1, 1_000, 20))

        assert 900 <= account.unit.input_tokens <= 1_000

    def test_one_large_request_changes_little(self, account: Account) -> None:
        account.note(ONE)
        account.note(Amounts(1, 1_610, 20))

        assert account.unit.input_tokens == 110

    def test_more_for_a_stream_does_not_make_a_unit_without_a_request(
        self, account: Account
    ) -> None:
        account.note(ONE)
        account.note(Amounts(output_tokens=20))

        assert account.unit.requests == 1


class TestPlaces:
    def test_one_missing_place_is_no_reason_to_ask_ahead(self, account: Account) -> None:
        account.miss_place()

        assert not account.wants_places

    def test_as_many_are_asked_for_as_were_missing(self, account: Account) -> None:
        for _ in range(3):
            account.miss_place()

        assert account.wants_places
        assert account.places_wanted() == 3

    async def test_while_they_are_asked_for_no_others_are(self, account: Account) -> None:
        for _ in range(3):
            account.miss_place()
        account.asking_places(asyncio.create_task(asyncio.sleep(0)))
        for _ in range(3):
            account.miss_place()

        assert account.places_wanted() == 0
        account.places_answered(3)
        assert account.places_wanted() == 3

    async def test_after_none_were_granted_there_is_a_pause(
        self, account: Account, clock: Clock
    ) -> None:
        account.asking_places(asyncio.create_task(asyncio.sleep(0)))
        account.places_answered(0)
        for _ in range(3):
            account.miss_place()

        assert account.places_wanted() == 0
        clock.time += 1.0
        assert account.places_wanted() == 3

    def test_a_place_that_was_left_is_remembered_for_a_moment(
        self, account: Account, clock: Clock
    ) -> None:
        assert not account.returned_lately

        account.returned()
        assert account.returned_lately
        clock.time += 0.6
        assert not account.returned_lately


class TestIdleness:
    def test_a_new_account_is_idle(self, account: Account) -> None:
        assert account.is_idle

    async def test_with_a_lease_it_is_not(self, account: Account, clock: Clock) -> None:
        await lend(account, clock, 1)
        await account.answered()

        assert not account.is_idle

    async def test_while_it_waits_for_an_answer_it_is_not(self, account: Account) -> None:
        answer = asyncio.create_task(asyncio.sleep(0))
        account.asking(answer)

        assert not account.is_idle
        await answer
        await asyncio.sleep(0)
        assert account.is_idle

    def test_with_a_lent_place_it_is_not(self, account: Account) -> None:
        account.places.add(PlaceGrant("p1", 1, 0))

        assert not account.is_idle
