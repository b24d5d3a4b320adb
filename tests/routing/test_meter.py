"""Every way in which a request can end settles all that was held for it, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from routing.fake_quota import FakeQuota
from routing.fakes import Clock, arrival, snapshot, until
from routing.metering_values import asked, at, chain, limit, model

from meshgate.config.snapshot import Snapshot, Target
from meshgate.dialects.neutral import Usage
from meshgate.limits.limit import LARGEST_COST_NANOS
from meshgate.pricing.prices import Prices
from meshgate.routing.failure import Failure
from meshgate.routing.meter import Meter
from meshgate.routing.metering import Metering
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.quota import Quota
from meshgate.routing.planning import Plan
from meshgate.routing.question import Question
from meshgate.routing.usage_counting import Written
from meshgate.runtime.errors import GatewayError, LimitExceededError, ServiceUnavailableError
from meshgate.tokens.counting import TokenCounter
from meshgate.v1 import usage_record_pb2 as pb

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello world"}]}'
TOKENS = chain(limit("tokens", 100_000), limit("requests", 100))
ANSWERED = pb.REQUEST_OUTCOME_ANSWERED


class Broken:
    """An encoder that fails."""

    def encode_ordinary(self, text: str, /) -> list[int]:
        raise RuntimeError("no encoding")


class Bench:
    """Metering against quota as a plain model."""

    def __init__(self) -> None:
        self.service = FakeQuota()
        self.clock = Clock()
        self.quota = Quota(QuotaCalls(self.service.channel()), now=self.clock)
        self.counter = TokenCounter()
        self.configured = snapshot(model("m", at("one")))

    async def open(self, *chains: Any, **head: Any) -> Meter:
        return await self.open_for(asked(BODY, *(chains or (TOKENS,)), **head))

    async def open_for(self, question: Question) -> Meter:
        metering = Metering(self.quota, self.counter, lambda: self.configured)
        return await metering.open(question)

    async def attempt(self, meter: Meter, result: Any, target: Target | None = None) -> Any:
        """One attempt that comes to a result, or raises it."""

        async def execute(*_: Any) -> Any:
            if isinstance(result, BaseException):
                raise result
            return result

        asked_for = self.configured.models["m"]
        plan = Plan(asked_for, asked_for.targets)
        run = meter.metered(execute)
        return await run(meter.question, plan, target or asked_for.targets[0])

    async def settled(self) -> None:
        """Let all be booked, and what lies in leases go back."""
        await until(lambda: not self.quota._tasks)
        self.quota.send_settlements()
        await until(lambda: not self.quota.unbooked)
        self.clock.time += 2.1
        await self.quota.look()

    def used(self, limit: str = "tokens/minute", subject: str = "key/k1") -> tuple[int, int]:
        """Spent, and held."""
        return self.service.spent[subject, limit], self.service.held(subject, limit)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.quota.close()
    await bench.counter.close()


class TestFailures:
    async def test_what_a_failed_attempt_consumed_is_booked_with_the_request(
        self, bench: Bench
    ) -> None:
        meter = await bench.open()

        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(input_tokens=7)))
        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(output_tokens=2)))
        meter.left()
        await bench.settled()

        assert bench.used() == (9, 0)
        assert bench.used("requests/minute") == (1, 0)
        assert bench.service.records[0].attempt_count == 2

    async def test_an_attempt_that_the_mesh_refused_leaves_nothing_held(self, bench: Bench) -> None:
        bench.configured = snapshot(model("m", at("one", *_limits("tokens", 10_000))))
        meter = await bench.open()

        with pytest.raises(ServiceUnavailableError):
            await bench.attempt(meter, ServiceUnavailableError("gone"))
        meter.left()
        await bench.settled()

        assert bench.used() == (0, 0)
        assert bench.used(subject="target/one/m-at-one") == (0, 0)
        assert bench.service.records[0].outcome == pb.REQUEST_OUTCOME_FAILED

    async def test_an_attempt_that_fails_unexpectedly_is_charged_for_the_question(
        self, bench: Bench
    ) -> None:
        meter = await bench.open()

        with pytest.raises(TypeError):
            await bench.attempt(meter, TypeError("a bug"))
        meter.left()
        await bench.settled()

        spent, held = bench.used()
        assert (spent > 0, held) == (True, 0)

    async def test_a_request_that_no_target_would_let_in_is_as_if_it_had_never_come(
        self, bench: Bench
    ) -> None:
        bench.configured = snapshot(model("m", at("one", *_limits("requests", 0))))
        meter = await bench.open()

        failure = await bench.attempt(meter, "an answer")
        meter.left()
        await bench.settled()

        assert failure.kind == "rate_limited"
        assert bench.used() == (0, 0)
        assert bench.used("requests/minute") == (0, 0)
        assert bench.service.records == []

    async def test_an_attempt_that_outlasts_the_deadline_is_charged_for_the_question(
        self, bench: Bench
    ) -> None:
        meter = await bench.open()
        question = meter.question
        meter.question = Question(
            arrival(seconds=0),
            question.principal,
            question.head,
            question.dialect,
            question.body,
            question.revision,
        )

        await bench.attempt(meter, Failure("timeout", "one"))
        meter.left()
        await bench.settled()

        (charge,) = bench.service.records[0].charges
        assert charge.estimated
        assert charge.usage.input_tokens > 0

    async def test_an_attempt_that_timed_out_before_the_deadline_costs_what_is_known(
        self, bench: Bench
    ) -> None:
        meter = await bench.open()

        await bench.attempt(meter, Failure("timeout", "one"))
        meter.left()
        await bench.settled()

        assert bench.used() == (0, 0)

    async def test_each_try_of_a_target_counts_there(self, bench: Bench) -> None:
        bench.configured = snapshot(model("m", at("one", *_limits("requests", 10))))
        meter = await bench.open()

        for _ in range(3):
            await bench.attempt(meter, Failure("overloaded", "one"))
        meter.left()
        await bench.settled()

        assert bench.used("requests/minute", "target/one/m-at-one") == (3, 0)
        assert bench.used("requests/minute") == (1, 0)


class TestAnswers:
    async def test_only_the_first_ending_counts(self, bench: Bench) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.answered(Usage(input_tokens=5, output_tokens=6), "m", b"{}")
        meter.left()
        meter.ended(ANSWERED, Usage(input_tokens=50), "m", Written())
        await bench.settled()

        assert bench.used() == (11, 0)
        assert len(bench.service.records) == 1

    async def test_a_usage_below_nothing_is_not_believed(self, bench: Bench) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.answered(Usage(input_tokens=5, output_tokens=-600), "m", b"{}")
        await bench.settled()

        (charge,) = bench.service.records[0].charges
        assert charge.estimated
        assert charge.usage.output_tokens >= 0
        assert bench.used()[1] == 0

    async def test_a_failure_with_a_usage_below_nothing_costs_nothing(self, bench: Bench) -> None:
        meter = await bench.open()

        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(input_tokens=-7)))
        meter.left()
        await bench.settled()

        assert bench.used() == (0, 0)

    async def test_an_enormous_usage_is_booked_as_far_as_can_be_counted(self, bench: Bench) -> None:
        dearest = Prices(10**15, 10**15, 10**15, 10**15)
        bench.configured = snapshot(model("m", at("one", dearest)))
        meter = await bench.open(chain(limit("cost", 10**12, "soft")))
        await bench.attempt(meter, "an answer")

        meter.answered(Usage(input_tokens=2**31 - 1, output_tokens=2**31 - 1), "m", b"{}")
        await bench.settled()

        assert bench.used("cost/minute") == (LARGEST_COST_NANOS, 0)

    async def test_text_that_cannot_be_counted_is_estimated(self, bench: Bench) -> None:
        bench.counter = TokenCounter(lambda _: Broken())
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.answered(None, "m", b"x" * 300)
        await bench.settled()

        (charge,) = bench.service.records[0].charges
        assert charge.estimated
        assert charge.usage.output_tokens == 100
        assert bench.used()[1] == 0

    async def test_counting_that_is_cut_off_still_settles(self, bench: Bench) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")
        meter.answered(None, "m", b"x" * 300)
        (counting,) = bench.quota._tasks
        await asyncio.sleep(0)

        counting.cancel()
        await bench.settled()

        assert bench.service.records[0].charges[0].usage.output_tokens == 100
        assert bench.used()[1] == 0

    async def test_what_was_kept_of_a_long_answer_stands_for_all_of_it(self, bench: Bench) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.ended(ANSWERED, None, "m", Written(lambda: ["hello world"], 1100, 11))
        await bench.settled()

        assert bench.service.records[0].charges[0].usage.output_tokens == 200

    async def test_an_answer_of_which_nothing_was_kept_is_estimated(self, bench: Bench) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.ended(ANSWERED, None, "m", Written(list, 3_000_000, 0))
        await bench.settled()

        assert bench.service.records[0].charges[0].usage.output_tokens == 1_000_000


class TestWideLimits:
    async def test_money_is_held_of_a_models_budget_too(self, bench: Bench) -> None:
        budget = limit("cost", 10**12)
        bench.configured = snapshot(model("m", at("one"), limits=(budget,)))
        meter = await bench.open()

        await bench.attempt(meter, "an answer")

        assert bench.used("cost/minute", "model/m")[1] > 0
        meter.left()

    async def test_a_models_budget_that_is_spent_refuses(self, bench: Bench) -> None:
        bench.configured = snapshot(model("m", at("one"), limits=(limit("cost", 10**6),)))
        meter = await bench.open()
        await bench.attempt(meter, "an answer")
        meter.answered(Usage(input_tokens=1_000), "m", b"{}")
        await bench.settled()

        second = await bench.open()
        failure = await bench.attempt(second, "an answer")
        second.left()

        assert isinstance(failure.error, LimitExceededError)

    async def test_a_strict_limit_of_a_target_bounds_the_answer(self, bench: Bench) -> None:
        strict = limit("tokens", 100_000, "strict")
        bench.configured = snapshot(model("m", at("one", *_with_prices(strict))))

        meter = await bench.open()

        assert meter.question.output_cap == 4096
        meter.left()

    async def test_a_strict_limit_of_a_fallback_bounds_the_answer(self, bench: Bench) -> None:
        strict = limit("tokens", 100_000, "strict")
        bench.configured = snapshot(
            model("m", at("one"), fallbacks=("n",)), model("n", at("two", *_with_prices(strict)))
        )

        meter = await bench.open()

        assert meter.question.output_cap == 4096
        meter.left()

    async def test_a_target_with_a_small_limit_lets_short_answers_in(self, bench: Bench) -> None:
        bench.configured = snapshot(model("m", at("one", *_limits("tokens", 60))))
        meter = await bench.open()

        assert await bench.attempt(meter, "an answer") == "an answer"
        meter.left()

    async def test_new_limits_count_with_the_new_configuration(self, bench: Bench) -> None:
        metering = Metering(bench.quota, bench.counter, lambda: bench.configured)
        (await metering.open(asked(BODY, TOKENS))).left()

        bench.configured = _renamed(
            snapshot(model("m", at("one"), limits=(limit("tokens", 10_000, "strict"),))), "r2"
        )
        meter = await metering.open(asked(BODY, TOKENS))

        assert meter.demand.is_strict
        meter.left()


class TestStrictRetries:
    async def test_what_a_failed_attempt_took_is_held_again(self, bench: Bench) -> None:
        meter = await bench.open(chain(limit("tokens", 100_000, "strict")), max_output_tokens=50)
        before = bench.used()[1]

        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(output_tokens=50)))
        await bench.attempt(meter, "an answer")
        held = bench.used()[1]
        meter.answered(Usage(input_tokens=len(BODY), output_tokens=50), "m", b"{}")
        await bench.settled()

        assert held == before + 50
        assert bench.used() == (len(BODY) + 100, 0)
        assert _overruns(bench) == 0

    async def test_it_is_held_again_once(self, bench: Bench) -> None:
        meter = await bench.open(chain(limit("tokens", 100_000, "strict")), max_output_tokens=50)
        before = bench.used()[1]

        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(output_tokens=50)))
        await bench.attempt(meter, Failure("overloaded", "one"))
        await bench.attempt(meter, "an answer")

        assert bench.used()[1] == before + 50
        meter.left()

    async def test_without_enough_left_there_is_no_next_attempt(self, bench: Bench) -> None:
        mine = chain(limit("tokens", len(BODY) + 60, "strict"))
        meter = await bench.open(mine, max_output_tokens=50)
        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(output_tokens=50)))

        with pytest.raises(LimitExceededError):
            await bench.attempt(meter, "an answer")
        meter.left()
        await bench.settled()

        assert bench.used() == (50, 0)

    async def test_under_other_limits_nothing_is_held_again(self, bench: Bench) -> None:
        meter = await bench.open(max_output_tokens=50)
        before = bench.used()[1]

        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(output_tokens=50)))
        await bench.attempt(meter, "an answer")

        assert bench.used()[1] == before
        meter.left()


class TestMore:
    async def test_more_for_a_request_that_has_ended_goes_back(self, bench: Bench) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")
        bench.service.open.clear()
        asking = asyncio.create_task(meter.ask_more(50_000))
        await until(lambda: bench.service.count("BatchHold") == 2)

        meter.answered(Usage(input_tokens=5), "m", b"{}")
        bench.service.open.set()
        await asking
        await bench.settled()

        assert bench.used() == (5, 0)

    async def test_more_is_held_where_limits_grow_with_the_answer(self, bench: Bench) -> None:
        requests, tokens = chain(limit("requests", 10)), chain(limit("tokens", 9_999), key="k2")
        meter = await bench.open(requests, tokens)
        await bench.attempt(meter, "an answer")
        before = bench.used(subject="key/k2")[1]

        await meter.ask_more(100)
        held = bench.used(subject="key/k2")[1]
        meter.answered(Usage(output_tokens=400), "m", b"{}")
        await bench.settled()

        assert held == before + 100
        assert bench.used(subject="key/k2") == (400, 0)
        assert bench.used("requests/minute") == (1, 0)

    async def test_more_that_one_limit_refuses_no_other_keeps(self, bench: Bench) -> None:
        wide, narrow = chain(limit("tokens", 10**6)), chain(limit("tokens", 500), key="k2")
        meter = await bench.open(wide, narrow)
        await bench.attempt(meter, "an answer")
        before = bench.used()[1]

        with pytest.raises(LimitExceededError):
            await meter.ask_more(1_000)
        await bench.settled()

        assert bench.used()[1] == before
        meter.left()

    async def test_more_than_an_attempts_limit_has_is_refused(self, bench: Bench) -> None:
        bench.configured = snapshot(model("m", at("one", *_limits("tokens", 500))))
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        with pytest.raises(LimitExceededError):
            await meter.ask_more(1_000)
        meter.left()


class TestOpening:
    async def test_a_refused_request_holds_nothing(self, bench: Bench) -> None:
        with pytest.raises(LimitExceededError):
            await bench.open(TOKENS, chain(limit("requests", 0), key="k2"))
        await bench.settled()

        assert bench.used() == (0, 0)

    async def test_a_dialect_that_nobody_can_count_holds_nothing(self, bench: Bench) -> None:
        with pytest.raises(GatewayError):
            await bench.open_for(asked(BODY, TOKENS, dialect=0))
        await bench.settled()

        assert bench.used() == (0, 0)


def _limits(kind: str, amount: int) -> tuple[Any, ...]:
    return _with_prices(limit(kind, amount))


def _with_prices(*limits: Any) -> tuple[Any, ...]:
    return (at("one").prices, *limits)


def _renamed(configured: Snapshot, revision: str) -> Snapshot:
    return snapshot(*configured.models.values(), revision=revision)


def _overruns(bench: Bench) -> int:
    return sum(
        settlement.overrun.output_tokens + settlement.overrun.input_tokens
        for request in bench.service.requests
        if hasattr(request, "grants")
        for grant in request.grants
        for settlement in grant.settlements
    )
