"""Letting in when it is not plain: leases on their way, full queues, forgotten accounts, the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY
from routing.fake_quota import FakeQuota
from routing.fakes import Clock, arrival, until
from routing.metering_values import chain, limit
from routing.quota_values import AWAY

from meshgate.limits.amounts import Amounts
from meshgate.routing.chain import Chain
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.part import Part
from meshgate.routing.peers.quota.quota import Quota, admitted
from meshgate.routing.peers.quota.settling import MOST_UNBOOKED
from meshgate.runtime.errors import GatewayError, LimitExceededError, ServiceUnavailableError

ONE = Amounts(requests=1, input_tokens=10, output_tokens=20, concurrency=1)


@pytest.fixture
def service() -> FakeQuota:
    service = FakeQuota()
    service.lease_share = 1
    return service


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def quota(service: FakeQuota, clock: Clock) -> AsyncIterator[Quota]:
    quota = Quota(QuotaCalls(service.channel()), now=clock)
    yield quota
    service.failure = None
    service.open.set()
    quota._settling.unbooked = 0
    await quota.close()


async def admit(quota: Quota, whose: Chain, amounts: Amounts = ONE) -> Part | GatewayError:
    try:
        return await quota.admit(whose, amounts, arrival())
    except GatewayError as error:
        return error


class TestSecondChances:
    async def test_what_a_lease_on_its_way_has_taken_is_waited_for(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(limit("requests", 3))
        for _ in range(2):
            await quota.admit(mine, ONE, arrival())  # the lease takes all that is left

        third = await admit(quota, mine)

        assert isinstance(third, Part)
        assert service.count("BatchLease") == 1
        assert isinstance(await admit(quota, mine), LimitExceededError)

    async def test_a_refusal_stands_if_the_answer_takes_longer_than_there_is_time(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(limit("requests", 2))
        for _ in range(2):
            await quota.admit(mine, ONE, arrival())
        account = quota._holdings.account(mine)
        await until(lambda: not account._answers)
        never = asyncio.create_task(asyncio.Event().wait())
        account._await(never)  # type: ignore[arg-type]

        with pytest.raises(LimitExceededError):
            await quota.admit(mine, ONE, arrival(seconds=0.05))

        never.cancel()

    async def test_a_place_that_has_just_been_left_is_waited_for(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(limit("concurrency", 1))
        first = await quota.admit(mine, ONE, arrival())
        service.open.clear()
        first.settle(ONE)  # quota hears of it, but not yet
        second = asyncio.create_task(admit(quota, mine))
        await until(lambda: service.count("BatchHold") == 2)

        service.open.set()

        assert isinstance(await second, Part)

    async def test_where_nothing_came_back_lately_a_refusal_stands_at_once(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(limit("concurrency", 1))
        await quota.admit(mine, ONE, arrival())

        refusal = await admit(quota, mine)

        assert isinstance(refusal, LimitExceededError)
        assert service.count("BatchHold") == 2


class TestMixedChains:
    async def test_a_lease_and_a_place_that_is_refused_leave_nothing_held(
        self, quota: Quota, service: FakeQuota, clock: Clock
    ) -> None:
        mine = chain(limit("requests", 1_000), limit("concurrency", 3))
        for _ in range(3):
            await quota.admit(mine, ONE, arrival())
        await until(lambda: not quota._tasks)

        for _ in range(3):
            assert isinstance(await admit(quota, mine), LimitExceededError)
        await until(lambda: not quota._tasks)
        clock.time += 2.1
        await quota.look()

        assert service.used("key/k1", "requests/minute") == 3

    async def test_a_lent_place_and_use_that_is_refused_leave_the_place_free(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(limit("requests", 4), limit("concurrency", 100))
        for _ in range(4):
            await quota.admit(mine, ONE, arrival())
        await until(lambda: not quota._tasks)
        account = quota._holdings.account(mine)
        taken = account.places.taken

        assert isinstance(await admit(quota, mine), LimitExceededError)

        assert account.places.taken == taken

    async def test_one_that_leaves_while_it_waits_for_the_second_chain_keeps_nothing_of_the_first(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        first, second = chain(limit("concurrency", 5)), chain(limit("requests", 5), key="k2")
        part = await quota.admit(first, ONE, arrival())
        service.open.clear()
        waiting = asyncio.create_task(admitted(quota, [first, second], ONE, arrival()))
        await until(lambda: service.count("BatchHold") == 2)
        service.open.set()
        await until(lambda: service.count("BatchHold") == 3)

        waiting.cancel()
        with suppress(asyncio.CancelledError):
            for more in await waiting:
                more.give_back()
        part.give_back()
        await quota.look()
        quota.send_settlements()
        await until(lambda: not quota.unbooked)

        assert service.held("key/k1", "concurrency") == 0


class TestFullQueues:
    async def test_when_too_much_waits_to_be_booked_nobody_is_let_in(self, quota: Quota) -> None:
        quota._settling.unbooked = MOST_UNBOOKED

        assert isinstance(await admit(quota, chain(limit("requests", 10))), ServiceUnavailableError)

    async def test_not_even_who_has_a_lease(self, quota: Quota) -> None:
        mine = chain(limit("requests", 1_000))
        for _ in range(4):
            await quota.admit(mine, ONE, arrival())
        quota._settling.unbooked = MOST_UNBOOKED

        assert isinstance(await admit(quota, mine), ServiceUnavailableError)

    async def test_nor_who_has_no_limits(self, quota: Quota) -> None:
        assert await admitted(quota, (), ONE, arrival()) == []
        quota._settling.unbooked = MOST_UNBOOKED

        with pytest.raises(ServiceUnavailableError):
            await admitted(quota, (), ONE, arrival())


class TestForgottenAccounts:
    async def test_a_lease_asked_for_after_its_account_was_forgotten_goes_back(
        self, quota: Quota, service: FakeQuota, clock: Clock
    ) -> None:
        mine = chain(limit("requests", 1_000))
        part = await quota.admit(mine, ONE, arrival())
        service.open.clear()
        waiting = asyncio.create_task(admit(quota, mine))
        await until(lambda: service.count("BatchHold") == 2)
        quota._holdings.accounts.clear()  # as when there are very many
        service.open.set()
        other = await waiting
        await until(lambda: not quota._tasks)

        for each in (part, other):
            assert isinstance(each, Part)
            each.settle(ONE)
        clock.time += 2.1
        await quota.look()
        quota.send_settlements()
        await until(lambda: not quota.unbooked)

        assert service.held("key/k1", "requests/minute") == 0
        assert service.used("key/k1", "requests/minute") == 2


class TestTheEnd:
    async def test_a_lease_that_comes_too_late_goes_back(self, service: FakeQuota) -> None:
        quota = Quota(QuotaCalls(service.channel()), close_seconds=0.05)
        mine = chain(limit("requests", 1_000))
        first = await quota.admit(mine, ONE, arrival())
        service.open.clear()
        second = asyncio.create_task(quota.admit(mine, ONE, arrival()))
        await until(lambda: service.count("BatchHold") == 2)
        quota.take(mine, ONE)
        quota._ask_ahead(quota._holdings.account(mine))
        await until(lambda: service.count("BatchLease") == 1)

        closing = asyncio.create_task(quota.close())
        await until(lambda: not quota._tasks)  # it waits no more
        service.open.set()
        await closing
        first.give_back()
        (await second).give_back()
        quota.send_settlements()
        await until(lambda: not quota.unbooked)

        assert service.held("key/k1", "requests/minute") == 0

    async def test_with_quota_away_the_end_comes_all_the_same(self, service: FakeQuota) -> None:
        quota = Quota(QuotaCalls(service.channel()), close_seconds=0.05)
        part = await quota.admit(chain(limit("requests", 1_000)), ONE, arrival())
        service.failure = AWAY
        part.settle(ONE)

        await quota.close()

        assert quota.unbooked == 1
        assert service.used("key/k1", "requests/minute") == 1  # still held, booked by the ttl

    async def test_what_still_runs_at_the_end_stays_held(self, service: FakeQuota) -> None:
        quota = Quota(QuotaCalls(service.channel()), close_seconds=0.05)
        mine = chain(limit("requests", 1_000), limit("concurrency", 10))
        for _ in range(3):
            await quota.admit(mine, ONE, arrival())

        await quota.close()

        assert service.held("key/k1", "requests/minute") == 3
        assert service.held("key/k1", "concurrency") == 3


def admissions() -> dict[str, float]:
    return {
        outcome: REGISTRY.get_sample_value("meshgate_quota_admissions_total", {"outcome": outcome})
        or 0
        for outcome in ("taken", "asked", "refused", "failed")
    }


async def test_admissions_are_counted_by_what_let_them_in(quota: Quota, service: FakeQuota) -> None:
    before = admissions()
    mine = chain(limit("requests", 1_000))
    for _ in range(2):
        await quota.admit(mine, ONE, arrival())
    await until(lambda: not quota._tasks)
    await quota.admit(mine, ONE, arrival())
    await admit(quota, chain(limit("requests", 0), key="k2"))
    service.failure = AWAY
    await admit(quota, chain(limit("requests", 1), key="k3"))

    after = admissions()

    changes = {outcome: after[outcome] - before[outcome] for outcome in before}
    assert changes == {"taken": 1, "asked": 2, "refused": 1, "failed": 1}
