"""Every way in which a request can end settles all that was held for it, once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from routing.fakes import arrival, snapshot
from routing.metering_bench import BODY, TOKENS, MeterBench, limits_of
from routing.metering_values import asked, at, chain, limit, model

from meshgate.dialects.neutral import Usage
from meshgate.limits.limit import LARGEST_COST_NANOS
from meshgate.pricing.prices import Prices
from meshgate.routing.failure import Failure
from meshgate.routing.question import Question
from meshgate.routing.usage_counting import Written
from meshgate.runtime.errors import GatewayError, LimitExceededError, ServiceUnavailableError
from meshgate.tokens.counting import TokenCounter
from meshgate.v1 import usage_record_pb2 as pb

ANSWERED = pb.REQUEST_OUTCOME_ANSWERED


class Broken:
    """An encoder that fails."""

    def encode_ordinary(self, text: str, /) -> list[int]:
        raise RuntimeError("no encoding")


@pytest.fixture
async def bench() -> AsyncIterator[MeterBench]:
    bench = MeterBench()
    yield bench
    await bench.quota.close()
    await bench.counter.close()


class TestFailures:
    async def test_what_a_failed_attempt_consumed_is_booked_with_the_request(
        self, bench: MeterBench
    ) -> None:
        meter = await bench.open()

        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(input_tokens=7)))
        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(output_tokens=2)))
        meter.left()
        await bench.settled()

        assert bench.used() == (9, 0)
        assert bench.used("requests/minute") == (1, 0)
        assert bench.service.records[0].attempt_count == 2

    async def test_an_attempt_that_the_mesh_refused_leaves_nothing_held(
        self, bench: MeterBench
    ) -> None:
        bench.configured = snapshot(model("m", at("one", *limits_of("tokens", 10_000))))
        meter = await bench.open()

        with pytest.raises(ServiceUnavailableError):
            await bench.attempt(meter, ServiceUnavailableError("gone"))
        meter.left()
        await bench.settled()

        assert bench.used() == (0, 0)
        assert bench.used(subject="target/one/m-at-one") == (0, 0)
        assert bench.service.records[0].outcome == pb.REQUEST_OUTCOME_FAILED

    async def test_an_attempt_that_fails_unexpectedly_is_charged_for_the_question(
        self, bench: MeterBench
    ) -> None:
        meter = await bench.open()

        with pytest.raises(TypeError):
            await bench.attempt(meter, TypeError("a bug"))
        meter.left()
        await bench.settled()

        spent, held = bench.used()
        assert (spent > 0, held) == (True, 0)

    async def test_a_request_that_no_target_would_let_in_is_as_if_it_had_never_come(
        self, bench: MeterBench
    ) -> None:
        bench.configured = snapshot(model("m", at("one", *limits_of("requests", 0))))
        meter = await bench.open()

        failure = await bench.attempt(meter, "an answer")
        meter.left()
        await bench.settled()

        assert failure.kind == "rate_limited"
        assert bench.used() == (0, 0)
        assert bench.used("requests/minute") == (0, 0)
        assert bench.service.records == []

    async def test_an_attempt_that_outlasts_the_deadline_is_charged_for_the_question(
        self, bench: MeterBench
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
        self, bench: MeterBench
    ) -> None:
        meter = await bench.open()

        await bench.attempt(meter, Failure("timeout", "one"))
        meter.left()
        await bench.settled()

        assert bench.used() == (0, 0)

    async def test_each_try_of_a_target_counts_there(self, bench: MeterBench) -> None:
        bench.configured = snapshot(model("m", at("one", *limits_of("requests", 10))))
        meter = await bench.open()

        for _ in range(3):
            await bench.attempt(meter, Failure("overloaded", "one"))
        meter.left()
        await bench.settled()

        assert bench.used("requests/minute", "target/one/m-at-one") == (3, 0)
        assert bench.used("requests/minute") == (1, 0)


class TestAnswers:
    async def test_only_the_first_ending_counts(self, bench: MeterBench) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.answered(Usage(input_tokens=5, output_tokens=6), "m", b"{}")
        meter.left()
        meter.ended(ANSWERED, Usage(input_tokens=50), "m", Written())
        await bench.settled()

        assert bench.used() == (11, 0)
        assert len(bench.service.records) == 1

    async def test_a_usage_below_nothing_is_not_believed(self, bench: MeterBench) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.answered(Usage(input_tokens=5, output_tokens=-600), "m", b"{}")
        await bench.settled()

        (charge,) = bench.service.records[0].charges
        assert charge.estimated
        assert charge.usage.output_tokens >= 0
        assert bench.used()[1] == 0

    async def test_a_failure_with_a_usage_below_nothing_costs_nothing(
        self, bench: MeterBench
    ) -> None:
        meter = await bench.open()

        await bench.attempt(meter, Failure("overloaded", "one", usage=Usage(input_tokens=-7)))
        meter.left()
        await bench.settled()

        assert bench.used() == (0, 0)

    async def test_an_enormous_usage_is_booked_as_far_as_can_be_counted(
        self, bench: MeterBench
    ) -> None:
        dearest = Prices(10**15, 10**15, 10**15, 10**15)
        bench.configured = snapshot(model("m", at("one", dearest)))
        meter = await bench.open(chain(limit("cost", 10**12, "soft")))
        await bench.attempt(meter, "an answer")

        meter.answered(Usage(input_tokens=2**31 - 1, output_tokens=2**31 - 1), "m", b"{}")
        await bench.settled()

        assert bench.used("cost/minute") == (LARGEST_COST_NANOS, 0)

    async def test_text_that_cannot_be_counted_is_estimated(self, bench: MeterBench) -> None:
        bench.counter = TokenCounter(lambda _: Broken())
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.answered(None, "m", b"x" * 300)
        await bench.settled()

        (charge,) = bench.service.records[0].charges
        assert charge.estimated
        assert charge.usage.output_tokens == 100
        assert bench.used()[1] == 0

    async def test_counting_that_is_cut_off_still_settles(self, bench: MeterBench) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")
        meter.answered(None, "m", b"x" * 300)
        (counting,) = bench.quota._tasks
        await asyncio.sleep(0)

        counting.cancel()
        await bench.settled()

        assert bench.service.records[0].charges[0].usage.output_tokens == 100
        assert bench.used()[1] == 0

    async def test_what_was_kept_of_a_long_answer_stands_for_all_of_it(
        self, bench: MeterBench
    ) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.ended(ANSWERED, None, "m", Written(lambda: ["hello world"], 1100, 11))
        await bench.settled()

        assert bench.service.records[0].charges[0].usage.output_tokens == 200

    async def test_an_answer_of_which_nothing_was_kept_is_estimated(
        self, bench: MeterBench
    ) -> None:
        meter = await bench.open()
        await bench.attempt(meter, "an answer")

        meter.ended(ANSWERED, None, "m", Written(list, 3_000_000, 0))
        await bench.settled()

        assert bench.service.records[0].charges[0].usage.output_tokens == 1_000_000


class TestOpening:
    async def test_a_refused_request_holds_nothing(self, bench: MeterBench) -> None:
        with pytest.raises(LimitExceededError):
            await bench.open(TOKENS, chain(limit("requests", 0), key="k2"))
        await bench.settled()

        assert bench.used() == (0, 0)

    async def test_a_dialect_that_nobody_can_count_holds_nothing(self, bench: MeterBench) -> None:
        with pytest.raises(GatewayError):
            await bench.open_for(asked(BODY, TOKENS, dialect=0))
        await bench.settled()

        assert bench.used() == (0, 0)
