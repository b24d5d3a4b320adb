"""The caller's side of quota: what is let in without asking, and what becomes of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from routing.fake_quota import FakeQuota
from routing.fakes import BOUND_SECONDS, Clock, arrival, until

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import Limit, LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.routing.chain import Chain
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.part import Part
from meshgate.routing.peers.quota.quota import Quota, admitted
from meshgate.runtime.errors import (
    DeadlineExceededError,
    GatewayError,
    LimitExceededError,
    ServiceUnavailableError,
)
from meshgate.v1 import usage_record_pb2

ONE = Amounts(requests=1, input_tokens=10, output_tokens=20, concurrency=1)
MINUTE = WindowUnit.MINUTE
RECORD = usage_record_pb2.UsageRecords(records=[{"model": "m"}]).SerializeToString()


def chain(*limits: Limit, key: str = "k1", partition: str = "acme") -> Chain:
    return Chain(partition, [Subject(SubjectKind.KEY, key, limits)])


def requests(amount: int) -> Limit:
    return Limit.of(LimitKind.REQUESTS, amount, MINUTE)


def tokens(amount: int) -> Limit:
    return Limit.of(LimitKind.TOKENS, amount, MINUTE)


def places(amount: int) -> Limit:
    return Limit.of(LimitKind.CONCURRENCY, amount)


@pytest.fixture
def service() -> FakeQuota:
    return FakeQuota()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def quota(service: FakeQuota, clock: Clock) -> AsyncIterator[Quota]:
    quota = Quota(QuotaCalls(service.channel()), hold_seconds=30.0, now=clock)
    yield quota
    service.failure = None
    service.open.set()
    await quota.close()


async def admit(quota: Quota, whose: Chain, amounts: Amounts = ONE) -> Part | GatewayError:
    try:
        return await quota.admit(whose, amounts, arrival())
    except GatewayError as error:
        return error


async def settled(quota: Quota, service: FakeQuota) -> None:
    """Let everything that was noted be booked."""
    quota.send_settlements()
    await until(lambda: not quota.unbooked)


async def from_leases(quota: Quota, service: FakeQuota, mine: Chain, count: int) -> list[Part]:
    """So many parts that nobody was asked for; others come before and between."""
    parts: list[Part] = []
    while len(parts) < count:
        holds = service.count("BatchHold")
        part = await quota.admit(mine, ONE, arrival())
        if holds == service.count("BatchHold"):
            parts.append(part)
    return parts


class TestLettingIn:
    async def test_a_request_is_held_before_it_runs(self, quota: Quota, service: FakeQuota) -> None:
        await quota.admit(chain(requests(5), tokens(1000)), ONE, arrival())

        assert service.used("key/k1", "requests/minute") == 1
        assert service.used("key/k1", "tokens/minute") == 30

    async def test_exactly_as_many_as_the_limit_are_let_in(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(requests(50))

        results = await asyncio.gather(*(admit(quota, mine) for _ in range(200)))

        assert sum(isinstance(result, Part) for result in results) == 50
        assert service.used("key/k1", "requests/minute") == 50

    async def test_processes_share_a_limit_exactly(self, service: FakeQuota) -> None:
        mine = chain(requests(300))
        processes = [Quota(QuotaCalls(service.channel())) for _ in range(3)]

        results = await asyncio.gather(*(admit(processes[index % 3], mine) for index in range(900)))

        assert sum(isinstance(result, Part) for result in results) == 300
        assert service.used("key/k1", "requests/minute") == 300
        for process in processes:
            await process.close()

    async def test_a_refusal_says_which_limit_and_when_to_come_back(self, quota: Quota) -> None:
        refusal = await admit(quota, chain(requests(0)))

        assert isinstance(refusal, LimitExceededError)
        assert refusal.values["limit"] == "requests/minute"
        assert refusal.values["subject"] == "key/k1"
        assert refusal.retry_after_seconds == 30

    async def test_what_one_chain_refuses_no_other_keeps(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        open_, shut = chain(requests(5)), chain(requests(0), key="k2")

        with pytest.raises(LimitExceededError):
            await admitted(quota, [open_, shut], ONE, arrival())
        await settled(quota, service)

        assert service.used("key/k1", "requests/minute") == 0

    async def test_a_busy_chain_is_asked_about_once_in_a_while(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(requests(1_000_000), tokens(1_000_000_000))
        for _ in range(200):
            await quota.admit(mine, ONE, arrival())
            await asyncio.sleep(0)

        asked = service.count("BatchHold") + service.count("BatchLease")
        assert asked < 40

    async def test_a_request_larger_than_a_lease_is_held_by_itself(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(tokens(10_000_000))
        for _ in range(10):
            await quota.admit(mine, ONE, arrival())

        part = await quota.admit(mine, Amounts(1, 5_000_000, 1), arrival())

        assert part.held.input_tokens == 5_000_000
        assert service.used("key/k1", "tokens/minute") >= 5_000_000

    async def test_after_its_time_a_lease_lets_nobody_in(
        self, quota: Quota, service: FakeQuota, clock: Clock
    ) -> None:
        mine = chain(requests(1_000_000))
        for _ in range(10):
            await quota.admit(mine, ONE, arrival())
        await until(lambda: service.count("BatchLease"))
        holds = service.count("BatchHold")

        clock.time += 2.1
        await quota.admit(mine, ONE, arrival())

        assert service.count("BatchHold") == holds + 1


class TestGivingBack:
    async def test_the_rest_of_a_lease_goes_back_after_its_time(
        self, quota: Quota, service: FakeQuota, clock: Clock
    ) -> None:
        mine = chain(requests(100_000))
        parts = [await quota.admit(mine, ONE, arrival()) for _ in range(10)]
        await until(lambda: service.used("key/k1", "requests/minute") > 10 and not quota._tasks)

        clock.time += 2.1
        await quota.look()
        assert service.used("key/k1", "requests/minute") == 10

        for part in parts:
            part.settle(ONE)
        await settled(quota, service)
        assert service.held("key/k1", "requests/minute") == 0
        assert service.used("key/k1", "requests/minute") == 10

    async def test_what_was_given_back_may_be_used_by_others(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(requests(1))
        part = await quota.admit(mine, ONE, arrival())
        part.give_back()
        await settled(quota, service)

        assert isinstance(await admit(quota, mine), Part)

    async def test_a_client_that_leaves_while_it_waits_holds_nothing(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        service.open.clear()
        waiting = asyncio.create_task(quota.admit(chain(requests(5)), ONE, arrival()))
        await until(lambda: service.calls)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting

        service.open.set()
        await until(lambda: service.grants)
        await quota.look()

        assert service.used("key/k1", "requests/minute") == 0

    async def test_a_hold_whose_answer_is_lost_is_given_back(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        service.lost_answers = 2

        refusal = await admit(quota, chain(requests(5)))
        await quota.look()

        assert isinstance(refusal, ServiceUnavailableError)
        assert service.used("key/k1", "requests/minute") == 0

    async def test_at_the_end_everything_goes_back(self, service: FakeQuota) -> None:
        mine = chain(requests(100_000), places(1000))
        quota = Quota(QuotaCalls(service.channel()))
        parts = [await quota.admit(mine, ONE, arrival()) for _ in range(20)]
        for part in parts:
            part.settle(ONE)

        await quota.close()

        assert service.used("key/k1", "requests/minute") == 20
        assert service.held("key/k1", "requests/minute") == 0
        assert service.held("key/k1", "concurrency") == 0

    async def test_what_a_hold_did_not_use_is_free_for_the_next_at_once(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(tokens(35))
        for _ in range(5):
            part = await quota.admit(mine, ONE, arrival())
            part.settle(Amounts(1, 1, 0))

        await settled(quota, service)
        assert service.used("key/k1", "tokens/minute") == 5


class TestPlaces:
    async def test_no_more_requests_run_at_once_than_there_are_places(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        results = await asyncio.gather(*(admit(quota, chain(places(7))) for _ in range(40)))

        assert sum(isinstance(result, Part) for result in results) == 7

    async def test_a_place_is_free_again_when_its_request_has_ended(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(places(1))
        for _ in range(5):
            part = await quota.admit(mine, ONE, arrival())
            part.settle(ONE)

        await settled(quota, service)
        assert service.held("key/k1", "concurrency") == 0

    async def test_lent_places_are_used_again_without_asking(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(places(10_000))
        for part in [await quota.admit(mine, ONE, arrival()) for _ in range(4)]:
            part.settle(ONE)
        await until(lambda: service.count("BatchLease"))
        await settled(quota, service)
        before = len(service.calls)

        for _ in range(50):
            (await quota.admit(mine, ONE, arrival())).settle(ONE)

        assert len(service.calls) == before

    async def test_places_that_nobody_needs_go_back(self, quota: Quota, service: FakeQuota) -> None:
        mine = chain(places(10_000))
        for part in [await quota.admit(mine, ONE, arrival()) for _ in range(8)]:
            part.settle(ONE)
        await until(lambda: service.count("BatchLease"))
        await settled(quota, service)

        # The last lease may be on its way still, and is given back by the look after its arrival.
        async with asyncio.timeout(BOUND_SECONDS):
            while service.held("key/k1", "concurrency"):
                await quota.look()
                await asyncio.sleep(0)

    async def test_a_long_request_keeps_its_place_by_signs_of_life(
        self, quota: Quota, service: FakeQuota, clock: Clock
    ) -> None:
        await quota.admit(chain(places(1)), ONE, arrival())

        clock.time += 11
        await quota.look()

        assert service.count("BatchExtend") == 1


class TestBooking:
    async def test_what_was_used_is_booked_and_the_rest_is_free(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        part = await quota.admit(chain(tokens(1000)), ONE, arrival())

        part.settle(Amounts(1, 7, 5))
        await settled(quota, service)

        assert service.used("key/k1", "tokens/minute") == 12

    async def test_requests_of_a_lease_are_booked_together(
        self, quota: Quota, service: FakeQuota, clock: Clock
    ) -> None:
        mine = chain(requests(1_000_000))
        for part in await from_leases(quota, service, mine, 10):
            part.settle(ONE, RECORD)

        await settled(quota, service)

        assert service.count("BatchSettle") == 1
        assert len(service.records) == 10

    async def test_what_quota_did_not_acknowledge_is_sent_again_and_booked_once(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        part = await quota.admit(chain(requests(10)), ONE, arrival())
        service.lost_answers = 3

        part.settle(ONE)
        await settled(quota, service)

        assert service.count("BatchSettle") == 4
        assert service.used("key/k1", "requests/minute") == 1

    async def test_records_of_requests_without_limits_are_kept_too(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        quota.record("acme", RECORD)
        await settled(quota, service)

        assert [record.model for record in service.records] == ["m"]

    async def test_more_of_a_stream_is_booked_with_it(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        mine = chain(tokens(1000))
        part = await quota.admit(mine, ONE, arrival())
        part.extend(await quota.admit(mine, Amounts(output_tokens=100), arrival()))

        part.settle(Amounts(1, 10, 90))
        await settled(quota, service)

        assert service.used("key/k1", "tokens/minute") == 100
        assert service.held("key/k1", "tokens/minute") == 0


class TestFaults:
    async def test_without_quota_nobody_with_limits_is_let_in(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        service.failure = ServiceUnavailableError("gone")

        refusal = await admit(quota, chain(requests(5)))

        assert isinstance(refusal, ServiceUnavailableError)
        assert refusal.retry_after_seconds == 1

    async def test_quota_that_hangs_keeps_nobody_past_their_deadline(
        self, quota: Quota, service: FakeQuota
    ) -> None:
        service.open.clear()

        with pytest.raises(DeadlineExceededError):
            await quota.admit(chain(requests(5)), ONE, arrival(seconds=0.05))
