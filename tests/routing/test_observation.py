"""What is counted and recorded of requests when they are concluded."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from collector import Collector, Span, collecting
from msgspec.structs import replace
from prometheus_client import REGISTRY
from routing.metering_bench import BODY, MeterBench
from routing.metering_values import EMBEDDINGS, asked, at, chain, limit

from meshgate.dialects.neutral import Usage
from meshgate.pricing.prices import Prices
from meshgate.routing.attempt_spans import attempts_within
from meshgate.routing.consumption import Ending, consumption
from meshgate.routing.failure import Failure
from meshgate.routing.metered_attempt import MeteredAttempt
from meshgate.routing.observation import concluded, described, operation_of
from meshgate.routing.peers.provider import PlainAnswer
from meshgate.routing.planning import Plan
from meshgate.routing.question import Question
from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.runtime.recording import RecordingTracer, recording_tracer
from meshgate.runtime.tracing import NO_SPAN
from meshgate.runtime.tracing import Span as AnySpan
from meshgate.runtime.tracing_settings import Sampling, TracingSettings
from meshgate.v1 import usage_record_pb2 as pb

ANSWERED = pb.REQUEST_OUTCOME_ANSWERED
USAGE = Usage(input_tokens=10, output_tokens=5)
WIDE = chain(limit("requests", 1_000_000))
OVERHEAD = "meshgate_overhead_duration_seconds"


def told(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def arrived(question: Question, at_seconds: float = 100.0, span: AnySpan = NO_SPAN) -> Question:
    arrival = replace(question.arrival, arrived_at=at_seconds, span=span)
    return replace(question, arrival=arrival)


def answered(provider: str, upstream_seconds: float | None = 0.5) -> MeteredAttempt:
    attempt = MeteredAttempt(at(provider))
    attempt.upstream_seconds = upstream_seconds
    attempt.settle(consumption(attempt.target, USAGE, "m-2026"))
    return attempt


def failed(provider: str, upstream_seconds: float = 0.25) -> MeteredAttempt:
    attempt = MeteredAttempt(at(provider))
    attempt.failed(Failure("overloaded", provider, upstream_seconds=upstream_seconds), None)
    return attempt


def ending(outcome: pb.RequestOutcome.ValueType = ANSWERED, at_seconds: float = 101.0) -> Ending:
    return Ending(outcome, 1, 0, 1_800_000_000_000_000_000, at_seconds)


class TestMetrics:
    def test_the_gateways_own_time_is_told_apart_from_that_of_all_upstreams(self) -> None:
        count, total = (
            told(f"{OVERHEAD}_count", answer="plain"),
            told(f"{OVERHEAD}_sum", answer="plain"),
        )

        concluded(arrived(asked()), [failed("one"), answered("two")], ending())

        assert told(f"{OVERHEAD}_count", answer="plain") == count + 1
        assert told(f"{OVERHEAD}_sum", answer="plain") == pytest.approx(total + 0.25)

    def test_streams_are_told_apart_from_plain_answers(self) -> None:
        before = told(f"{OVERHEAD}_count", answer="streamed")

        concluded(arrived(asked(stream=True)), [answered("one")], ending())

        assert told(f"{OVERHEAD}_count", answer="streamed") == before + 1

    @pytest.mark.parametrize(
        ("attempt", "outcome"),
        [
            (answered("one", upstream_seconds=None), ANSWERED),
            (answered("one"), pb.REQUEST_OUTCOME_CANCELLED),
            (failed("one"), pb.REQUEST_OUTCOME_FAILED),
        ],
    )
    def test_what_is_not_known_or_was_not_answered_has_no_overhead(
        self, attempt: MeteredAttempt, outcome: pb.RequestOutcome.ValueType
    ) -> None:
        before = told(f"{OVERHEAD}_count", answer="plain")

        concluded(arrived(asked()), [attempt], ending(outcome))

        assert told(f"{OVERHEAD}_count", answer="plain") == before

    def test_attempts_are_told_by_provider_and_by_how_they_went(self) -> None:
        concluded(arrived(asked()), [failed("p1"), answered("p2")], ending())
        concluded(arrived(asked()), [answered("p2")], ending(pb.REQUEST_OUTCOME_CANCELLED))
        concluded(arrived(asked()), [answered("p2")], ending(pb.REQUEST_OUTCOME_FAILED))

        attempts = "meshgate_attempts_total"
        assert told(attempts, provider="p1", outcome="overloaded") == 1
        outcomes = ("answered", "cancelled", "broken")
        assert [told(attempts, provider="p2", outcome=word) for word in outcomes] == [1, 1, 1]

    def test_what_attempts_cost_is_told_by_model_and_provider(self) -> None:
        concluded(arrived(asked(model="costly")), [answered("p3")], ending())

        cost = told("meshgate_cost_usd_total", model="costly", provider="p3")
        assert cost == pytest.approx(20e-6)  # 10 tokens in at 1 USD a million, 5 out at 2

    def test_it_is_told_where_prices_come_from(self) -> None:
        statuses = ("configured", "table", "unpriced")
        before = [told("meshgate_price_lookups_total", status=word) for word in statuses]
        attempts = [answered("one")]
        for prices in (Prices(1, 1, 1, 1, listed_as="table/1"), None, None):
            attempt = MeteredAttempt(at("one", prices))
            attempt.settle(consumption(attempt.target, USAGE))
            attempts.append(attempt)

        concluded(arrived(asked()), attempts, ending())

        after = [told("meshgate_price_lookups_total", status=word) for word in statuses]
        assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 2]

    async def test_a_meter_concludes_what_it_has_followed(self) -> None:
        bench = MeterBench()
        attempts = "meshgate_attempts_total"
        before = told(attempts, provider="one", outcome="overloaded")
        meter = await bench.open()
        await bench.attempt(meter, Failure("overloaded", "one"))
        await bench.attempt(meter, PlainAnswer(b"{}", (), USAGE, "m-2026", 0.0))
        meter.upstream_took(0.0)
        meter.answered(USAGE, "m-2026", b"{}")
        await bench.settled()
        await bench.quota.close()
        await bench.counter.close()

        assert told(attempts, provider="one", outcome="overloaded") == before + 1


class TestSpans:
    @pytest.fixture
    def collector(self) -> Iterator[Collector]:
        with collecting() as collector:
            yield collector

    @pytest.fixture
    async def tracer(self, collector: Collector) -> AsyncIterator[RecordingTracer]:
        url = f"{collector.endpoint}/v1/traces"
        tracer = recording_tracer(TracingSettings(url, Sampling(True, 1.0)), "routing")
        yield tracer
        await tracer.close()

    async def spans(self, tracer: RecordingTracer, collector: Collector) -> list[Span]:
        await tracer.close()
        return sorted(collector.spans, key=lambda span: span.began_at)

    async def test_a_request_says_who_asked_and_what_became_of_it(
        self, tracer: RecordingTracer, collector: Collector
    ) -> None:
        span = tracer.serve("Chat", "")
        question = arrived(asked(b"quetzalcoatlus"), span=span)
        described(span, question)
        concluded(question, [failed("one"), answered("two")], ending())

        [request] = await self.spans(tracer, collector)
        assert request.ended_at == 1_800_000_000_000_000_000
        assert request.attributes == {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m",
            "gen_ai.provider.name": "two",
            "gen_ai.response.model": "m-2026",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "meshgate.attempts": 2,
            "meshgate.config.revision": "r1",
            "meshgate.cost.usd": 20e-6,
            "meshgate.organization.id": "default",
            "meshgate.outcome": "answered",
            "meshgate.request.id": "r-1",
        }
        assert b"quetzalcoatlus" not in b"".join(collector.exports)

    async def test_a_client_that_left_is_told_and_is_no_error_of_ours(
        self, tracer: RecordingTracer, collector: Collector
    ) -> None:
        question = arrived(asked(), span=tracer.serve("Chat", ""))
        concluded(question, [answered("one")], ending(pb.REQUEST_OUTCOME_CANCELLED))

        [request] = await self.spans(tracer, collector)
        assert request.attributes["error.type"] == "cancelled"
        assert request.status == 0

    async def test_what_lies_here_needs_no_span_and_what_is_asked_for_has_one(
        self, tracer: RecordingTracer, collector: Collector
    ) -> None:
        bench = MeterBench()
        meters = []
        for name in ("first", "second", "third", "fourth"):
            span = tracer.serve(name, "")
            meters.append(await bench.open_for(arrived(asked(BODY, WIDE), span=span)))
            await asyncio.gather(*bench.quota._tasks)  # what is asked for ahead
            span.end()
        for meter in meters:
            meter.left()
        await bench.quota.close()
        await bench.counter.close()

        spans = await self.spans(tracer, collector)
        holds = [span.parent_id for span in spans if span.name == "hold"]
        assert spans[0].name == "first"
        assert spans[0].span_id in holds
        assert spans[-1].name == "fourth"

    @pytest.mark.parametrize(
        ("result", "error"),
        [
            (PlainAnswer(b"{}", ()), None),
            (Failure("overloaded", "one"), "overloaded"),
            (ServiceUnavailableError("away"), "service_unavailable"),
        ],
    )
    async def test_an_attempt_is_a_span_that_provider_is_told_of(
        self, tracer: RecordingTracer, collector: Collector, result: object, error: str | None
    ) -> None:
        seen: list[str] = []

        async def execute(question: Question, *_: object) -> object:
            seen.append(question.arrival.traceparent)
            if isinstance(result, Exception):
                raise result
            return result

        request = tracer.serve("Chat", "")
        run = attempts_within(request, execute)  # type: ignore[arg-type]
        bench = MeterBench()
        model = bench.configured.models["m"]
        await asyncio.gather(
            run(asked(), Plan(model, model.targets), model.targets[0]), return_exceptions=True
        )
        request.end()
        await bench.quota.close()
        await bench.counter.close()

        _, attempt = await self.spans(tracer, collector)
        assert seen == [f"00-{attempt.trace_id}-{attempt.span_id}-01"]
        assert attempt.attributes.get("error.type") == error
        assert attempt.attributes["gen_ai.provider.name"] == "one"

    def test_attempts_of_what_is_not_recorded_are_left_as_they_are(self) -> None:
        async def execute(*_: object) -> object:
            return None

        assert attempts_within(NO_SPAN, execute) is execute  # type: ignore[arg-type]


def test_embeddings_are_an_operation_of_their_own() -> None:
    assert [operation_of(asked()), operation_of(asked(dialect=EMBEDDINGS))] == [
        "chat",
        "embeddings",
    ]
