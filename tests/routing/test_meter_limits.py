"""Limits of models and targets, retries under strict limits, and more for what has grown."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from routing.fakes import snapshot, until
from routing.metering_bench import BODY, TOKENS, MeterBench, limits_of, with_prices
from routing.metering_values import asked, at, chain, limit, model

from meshgate.config.snapshot import Snapshot
from meshgate.dialects.neutral import Usage
from meshgate.routing.failure import Failure
from meshgate.routing.metering import Metering
from meshgate.runtime.errors import LimitExceededError


@pytest.fixture
async def bench() -> AsyncIterator[MeterBench]:
    bench = MeterBench()
    yield bench
    await bench.quota.close()
    await bench.counter.close()


class TestWideLimits:
    async def test_money_is_held_of_a_models_budget_too(self, bench: MeterBench) -> None:
        budget = limit("cost", 10**12)
        bench.configured = snapshot(model("m", at("one"), limits=(budget,)))
        meter = await bench.open()

        await bench.attempt(meter, "an answer")

        assert bench.used("cost/minute", "model/m")[1] > 0
        meter.left()

    async def test_a_models_budget_that_is_spent_refuses(self, bench: MeterBench) -> None:
        bench.configured = snapshot(model("m", at("one"), limits=(limit("cost", 10**6),)))
        meter = await bench.open()
        await bench.attempt(meter, "an answer")
        meter.answered(Usage(input_tokens=1_000), "m", b"{}")
        await bench.settled()

        second = await bench.open()
        failure = await bench.attempt(second, "an answer")
        second.left()

        assert isinstance(failure.error, LimitExceededError)

    async def test_a_strict_limit_of_a_target_bounds_the_answer(self, bench: MeterBench) -> None:
        strict = limit("tokens", 100_000, "strict")
        bench.configured = snapshot(model("m", at("one", *with_prices(strict))))

        meter = await bench.open()

        assert meter.question.output_cap == 4096
        meter.left()

    async def test_a_strict_limit_of_a_fallback_bounds_the_answer(self, bench: MeterBench) -> None:
        strict = limit("tokens", 100_000, "strict")
        bench.configured = snapshot(
            model("m", at("one"), fallbacks=("n",)), model("n", at("two", *with_prices(strict)))
        )

        meter = await bench.open()

        assert meter.question.output_cap == 4096
        meter.left()

    async def test_a_target_with_a_small_limit_lets_short_answers_in(
        self, bench: MeterBench
    ) -> None:
        bench.configured = snapshot(model("m", at("one", *limits_of("tokens", 60))))
        meter = await bench.open()

        assert await bench.attempt(meter, "an answer") == "an answer"
        meter.left()

    @pytest.mark.parametrize("is_free", [True, False])
    async def test_under_a_budget_a_model_without_a_price_counts_tokens_and_no_more(
        self, bench: MeterBench, is_free: bool
    ) -> None:
        bench.configured = snapshot(model("m", at("one", None)))
        budget = chain(limit("cost", 10**6))
        meter = await bench.open(budget, max_output_tokens=0, is_free=is_free)

        answer = await bench.attempt(meter, "an answer")
        meter.left()

        assert (answer == "an answer") is is_free

    async def test_new_limits_count_with_the_new_configuration(self, bench: MeterBench) -> None:
        metering = Metering(bench.quota, bench.counter, lambda: bench.configured)
        (await metering.open(asked(BODY, TOKENS))).left()

        bench.configured = _renamed(
            snapshot(model("m", at("one"), limits=(limit("tokens", 10_000, "strict"),))), "r2"
        )
        meter = await metering.open(asked(BODY, TOKENS))

        assert meter.demand.is_strict
        meter.left()


class TestStrictRetries:
    async def test_what_a_failed_attempt_took_is_held_again(self, bench: MeterBench) -> None:
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

    async def test_it_is_held_again_once(self, bench: MeterBench) -> None:
        meter = await bench.open(chain(limit("tokens", 100_000, "strict")), max_output_tokens=50)
        before = bench.used()[1]

        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(output_tokens=50)))
        await bench.attempt(meter, Failure("overloaded", "one"))
        await bench.attempt(meter, "an answer")

        assert bench.used()[1] == before + 50
        meter.left()

    async def test_without_enough_left_there_is_no_next_attempt(self, bench: MeterBench) -> None:
        mine = chain(limit("tokens", len(BODY) + 60, "strict"))
        meter = await bench.open(mine, max_output_tokens=50)
        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(output_tokens=50)))

        with pytest.raises(LimitExceededError):
            await bench.attempt(meter, "an answer")
        meter.left()
        await bench.settled()

        assert bench.used() == (50, 0)

    async def test_under_other_limits_nothing_is_held_again(self, bench: MeterBench) -> None:
        meter = await bench.open(max_output_tokens=50)
        before = bench.used()[1]

        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(output_tokens=50)))
        await bench.attempt(meter, "an answer")

        assert bench.used()[1] == before
        meter.left()


class TestMore:
    async def test_more_for_a_request_that_has_ended_goes_back(self, bench: MeterBench) -> None:
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

    async def test_more_is_held_where_limits_grow_with_the_answer(self, bench: MeterBench) -> None:
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

    async def test_more_that_one_limit_refuses_no_other_keeps(self, bench: MeterBench) -> None:
        wide, narrow = chain(limit("tokens", 10**6)), chain(limit("tokens", 500), key="k2")
        meter = await bench.open(wide, narrow)
        await bench.attempt(meter, "an answer")
        before = bench.used()[1]

        with pytest.raises(LimitExceededError):
            await meter.ask_more(1_000)
        await bench.settled()

        assert bench.used()[1] == before
        meter.left()

    async def test_more_than_an_attempts_limit_has_is_refused(self, bench: MeterBench) -> None:
        bench.configured = snapshot(model("m", at("one", *limits_of("tokens", 500))))
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        with pytest.raises(LimitExceededError):
            await meter.ask_more(1_000)
        meter.left()


def _renamed(configured: Snapshot, revision: str) -> Snapshot:
    return snapshot(*configured.models.values(), revision=revision)


def _overruns(bench: MeterBench) -> int:
    return sum(
        settlement.overrun.output_tokens + settlement.overrun.input_tokens
        for request in bench.service.requests
        if hasattr(request, "grants")
        for grant in request.grants
        for settlement in grant.settlements
    )
