"""What was used is kept until quota has acknowledged it, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from routing.fakes import until
from routing.quota_values import AWAY, ONE, ScriptedCalls, grant

from meshgate.limits.amounts import NOTHING
from meshgate.routing.peers.quota.grant import MOST_RECORD_BYTES, Grant
from meshgate.routing.peers.quota.settling import MOST_UNBOOKED, Settling
from meshgate.runtime.errors import GatewayError

RECORD = b"r" * 1_000


class Bench:
    def __init__(self) -> None:
        self.calls = ScriptedCalls()
        self.pauses: list[float] = []
        self.settling = Settling(self.calls, self._sleep)  # type: ignore[arg-type]
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)
        await self.go_on.wait()

    def book(self, one: Grant, record: bytes = b"") -> None:
        one.unsettled += 1
        one.book(ONE, ONE, record)
        self.settling.note(one)

    async def landed(self) -> None:
        await until(lambda: not (self.settling._flights or self.settling._noted))

    @property
    def settlements(self) -> list[Any]:
        """All that were sent, each time they were."""
        return [one for batch in self.calls.settled for each in batch for one in each.settlements]

    @property
    def records(self) -> bytes:
        return b"".join(one.records for one in self.settlements)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.calls.failure = None
    bench.go_on.set()
    await bench.settling.close(5)


class TestSending:
    async def test_requests_of_a_grant_are_booked_together(self, bench: Bench) -> None:
        one = grant(ONE.times(3))
        for _ in range(3):
            bench.book(one, RECORD)

        bench.settling.flush()
        await bench.landed()

        (settlement,) = bench.settlements
        assert settlement.spent.requests == 3
        assert settlement.records == RECORD * 3
        assert bench.settling.unbooked == 0

    async def test_each_time_has_a_number_of_its_own(self, bench: Bench) -> None:
        one = grant(ONE.times(2))
        for _ in range(2):
            bench.book(one)
            bench.settling.flush()
        await bench.landed()

        assert sorted(one.sequence for one in bench.settlements) == [0, 1]

    async def test_a_batch_has_at_most_500_grants(self, bench: Bench) -> None:
        for number in range(1_200):
            bench.book(grant(ONE, grant_id=str(number)))

        bench.settling.flush()
        await bench.landed()

        assert sorted(len(batch) for batch in bench.calls.settled) == [200, 500, 500]

    async def test_no_batch_has_more_records_than_quota_takes(self, bench: Bench) -> None:
        for number in range(3_000):
            bench.book(grant(ONE, grant_id=str(number)), RECORD)

        bench.settling.flush()
        await bench.landed()

        sizes = [sum(len(one.settlements[0].records) for one in b) for b in bench.calls.settled]
        assert max(sizes) <= 2 * MOST_RECORD_BYTES
        assert sum(sizes) == 3_000 * len(RECORD)

    async def test_what_is_urgent_goes_at_once(self, bench: Bench) -> None:
        bench.book(grant(ONE))

        bench.settling.hurry()
        await asyncio.sleep(0)

        assert len(bench.calls.settled) == 1

    async def test_where_much_is_on_its_way_what_is_urgent_goes_together(
        self, bench: Bench
    ) -> None:
        bench.calls.failure = AWAY
        bench.go_on.clear()
        for number in range(200):
            bench.book(grant(ONE, grant_id=str(number)))
            bench.settling.hurry()
        await until(lambda: not bench.settling._noted)

        assert len(bench.settling._flights) < 50


class TestFailing:
    async def test_what_was_not_acknowledged_is_sent_again_as_it_was(self, bench: Bench) -> None:
        bench.calls.failures = [AWAY, AWAY]
        bench.book(grant(ONE), RECORD)

        bench.settling.flush()
        await bench.landed()

        first, *others = bench.settlements
        assert len(others) == 2
        assert all(one == first for one in others)
        assert bench.settling.unbooked == 0

    async def test_it_waits_longer_each_time_up_to_two_seconds(self, bench: Bench) -> None:
        bench.calls.failures = [AWAY] * 7
        bench.book(grant(ONE))

        bench.settling.flush()
        await bench.landed()

        assert bench.pauses == [0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0]

    @pytest.mark.parametrize(
        "failure", [ValueError("odd"), GatewayError("internal error"), asyncio.CancelledError()]
    )
    async def test_no_failure_makes_it_forget(self, bench: Bench, failure: BaseException) -> None:
        bench.calls.failures = [failure]
        bench.book(grant(ONE), RECORD)

        bench.settling.flush()
        await bench.landed()

        assert len(bench.settlements) == 2
        assert bench.settling.unbooked == 0

    async def test_while_quota_is_away_little_is_on_its_way_and_nothing_is_lost(
        self, bench: Bench
    ) -> None:
        bench.calls.failure = AWAY
        bench.go_on.clear()
        one = grant(NOTHING)
        for number in range(5_000):
            bench.book(one, RECORD)
            bench.book(grant(ONE, grant_id=f"h{number}"))
            if number % 10 == 0:
                bench.settling.flush()
                await asyncio.sleep(0)
        flights = len(bench.settling._flights)

        bench.calls.failure = None
        bench.calls.settled.clear()
        bench.go_on.set()
        while bench.settling._noted:
            bench.settling.flush()
            await asyncio.sleep(0)
        await bench.landed()

        assert flights <= 128
        assert bench.settling.unbooked == 0
        assert len(bench.records) == 5_000 * len(RECORD)
        assert sum(one.spent.requests for one in bench.settlements) == 10_000
        assert max(len(one.records) for one in bench.settlements) <= MOST_RECORD_BYTES

    async def test_it_is_full_when_too_much_waits(self, bench: Bench) -> None:
        bench.settling.unbooked = MOST_UNBOOKED - 1
        assert not bench.settling.is_full

        bench.book(grant(ONE))
        assert bench.settling.is_full
        bench.settling.unbooked = 1

    async def test_more_than_can_be_counted_is_booked_as_the_most_that_can(
        self, bench: Bench
    ) -> None:
        one = grant(NOTHING)
        for _ in range(3):
            one.unsettled += 1
            one.book(NOTHING, ONE.times(2**52))
            bench.settling.note(one)

        bench.settling.flush()
        await bench.landed()

        (settlement,) = bench.settlements
        assert 0 < settlement.spent.input_tokens + settlement.spent.output_tokens < 2**53


class TestClosing:
    async def test_at_the_end_everything_is_sent(self, bench: Bench) -> None:
        bench.book(grant(ONE))

        await bench.settling.close(5)

        assert len(bench.settlements) == 1
        assert bench.settling.unbooked == 0

    async def test_with_quota_away_the_end_comes_all_the_same(self, bench: Bench) -> None:
        bench.calls.failure = AWAY
        bench.book(grant(ONE))

        await bench.settling.close(0.05)
        await until(lambda: not bench.settling._flights)

        assert bench.settling.unbooked == 1
