"""Where traces go, which requests are recorded, and what that costs where none are."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from collector import Collector, Span, collecting
from envoy_process import free_port

from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.errors import ModelNotFoundError
from meshgate.runtime.recording import RecordingTracer, recording_tracer
from meshgate.runtime.tracing import NO_SPAN, NO_TRACER, Tracer, spanned, tracer_of
from meshgate.runtime.tracing_settings import Sampling, TracingSettings

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
COLLECTOR = "http://collector:4318"


def settings(**variables: str) -> TracingSettings | None:
    return TracingSettings.read(Environment(variables))


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
async def tracer(collector: Collector) -> AsyncIterator[RecordingTracer]:
    url = f"{collector.endpoint}/v1/traces"
    tracer = recording_tracer(TracingSettings(url, Sampling(True, 1.0)), "routing")
    yield tracer
    await tracer.close()


async def exported(tracer: Tracer, collector: Collector) -> dict[str, Span]:
    """What was exported by the end, by name."""
    await tracer.close()
    return {span.name: span for span in collector.spans}


class TestSettings:
    def test_without_an_endpoint_there_are_no_traces(self) -> None:
        assert settings(OTEL_TRACES_SAMPLER="always_on") is None

    @pytest.mark.parametrize(
        "off",
        [
            {"OTEL_SDK_DISABLED": "true"},
            {"OTEL_TRACES_EXPORTER": "none"},
            {"OTEL_TRACES_SAMPLER": "always_off"},
        ],
    )
    def test_traces_can_be_turned_off(self, off: dict[str, str]) -> None:
        assert settings(OTEL_EXPORTER_OTLP_ENDPOINT=COLLECTOR, **off) is None

    def test_a_tenth_of_what_clients_do_not_decide_is_recorded_by_default(self) -> None:
        read = settings(OTEL_EXPORTER_OTLP_ENDPOINT=f"{COLLECTOR}/")

        assert read == TracingSettings(f"{COLLECTOR}/v1/traces", Sampling(True, 0.1))

    def test_the_endpoint_of_traces_is_taken_as_it_stands(self) -> None:
        read = settings(
            OTEL_EXPORTER_OTLP_ENDPOINT=COLLECTOR,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="https://other/path",
            OTEL_EXPORTER_OTLP_HEADERS="api-key=secret",
            OTEL_SERVICE_NAME="ours",
        )

        assert read == TracingSettings("https://other/path", Sampling(True, 0.1), "ours", True)
        assert "secret" not in repr(read)

    @pytest.mark.parametrize(
        ("sampler", "follows", "ratio"),
        [
            ("always_on", False, 1.0),
            ("parentbased_always_on", True, 1.0),
            ("parentbased_always_off", True, 0.0),
            ("parentbased_traceidratio", True, 0.25),
        ],
    )
    def test_samplers_have_opentelemetrys_names(
        self, sampler: str, follows: bool, ratio: float
    ) -> None:
        variables = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.25"}

        assert Sampling.read(Environment(variables)) == Sampling(follows, ratio)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"OTEL_TRACES_SAMPLER": "traceidratio"},
            {"OTEL_TRACES_SAMPLER_ARG": "2"},
            {"OTEL_TRACES_SAMPLER_ARG": "many"},
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
        ],
    )
    def test_what_cannot_be_done_is_refused_at_the_start(self, wrong: dict[str, str]) -> None:
        with pytest.raises(SettingError, match=next(iter(wrong))):
            settings(**{"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, **wrong})


class TestNothing:
    def test_without_a_collector_there_is_one_tracer_and_one_span_for_all(self) -> None:
        tracer = tracer_of(Environment({}), "routing")
        span = tracer.serve("Chat", SAMPLED)

        assert tracer is NO_TRACER
        assert span is NO_SPAN
        assert span.child("attempt") is NO_SPAN
        assert not span.is_recorded

    async def test_work_within_a_span_that_nobody_records_is_only_done(self) -> None:
        async def work() -> int:
            return 7

        assert await spanned(NO_SPAN, "hold", work()) == 7
        assert NO_SPAN.traceparent == ""
        assert not hasattr(NO_SPAN, "__dict__")

    async def test_a_request_that_is_not_sampled_has_the_span_that_nobody_records(
        self, tracer: RecordingTracer
    ) -> None:
        assert tracer.serve("Chat", UNSAMPLED) is NO_SPAN
        assert tracer.call("chat", UNSAMPLED) is NO_SPAN
        assert tracer.call("chat", "") is NO_SPAN
        assert tracer.call("chat", "nonsense") is NO_SPAN


class TestRecording:
    async def test_a_span_is_a_child_of_what_it_is_done_for(
        self, tracer: RecordingTracer, collector: Collector
    ) -> None:
        request = tracer.serve("Chat", SAMPLED)
        attempt = request.child("attempt")
        call = tracer.call("chat m", attempt.traceparent)
        call.note({"gen_ai.request.model": "m", "gen_ai.response.finish_reasons": ("stop",)})
        call.end()
        request.end()  # and with it the attempt

        spans = await exported(tracer, collector)
        assert {span.trace_id for span in spans.values()} == {TRACE}
        assert spans["Chat"].parent_id == PARENT
        assert spans["attempt"].parent_id == spans["Chat"].span_id
        assert spans["chat m"].parent_id == spans["attempt"].span_id
        assert spans["chat m"].attributes == {
            "gen_ai.request.model": "m",
            "gen_ai.response.finish_reasons": ("stop",),
        }
        assert spans["Chat"].service == "meshgate-routing"

    async def test_who_sends_no_trace_gets_one_as_often_as_the_ratio_says(
        self, tracer: RecordingTracer
    ) -> None:
        draws = iter([0.24, 0.25])
        rare = RecordingTracer(tracer._provider, Sampling(True, 0.25), lambda: next(draws))

        first, second = rare.serve("Chat", ""), rare.serve("Chat", "")

        assert first.is_recorded
        assert first.traceparent.endswith("-01")
        assert second is NO_SPAN

    async def test_always_on_records_what_its_client_would_not(
        self, tracer: RecordingTracer
    ) -> None:
        always = RecordingTracer(tracer._provider, Sampling(False, 1.0))

        assert always.serve("Chat", UNSAMPLED).is_recorded

    async def test_an_error_is_told_by_its_word_and_not_by_its_text(
        self, tracer: RecordingTracer, collector: Collector
    ) -> None:
        async def failing() -> None:
            raise ModelNotFoundError("no model called quetzalcoatlus")

        request = tracer.serve("Chat", "")
        with pytest.raises(ModelNotFoundError):
            await spanned(request, "hold", failing())
        request.end()

        spans = await exported(tracer, collector)
        assert spans["hold"].attributes == {"error.type": "model_not_found"}
        assert spans["hold"].status == 2
        assert b"quetzalcoatlus" not in b"".join(collector.exports)

    async def test_what_comes_after_the_end_is_passed_over(
        self, tracer: RecordingTracer, collector: Collector
    ) -> None:
        span = tracer.serve("Chat", "")
        span.end(at_nanos=time.time_ns())
        span.note({"late": 1})
        span.fail("late")
        span.end()

        spans = await exported(tracer, collector)
        assert spans["Chat"].attributes == {}
        assert len(collector.spans) == 1


class TestAway:
    async def test_a_collector_that_is_away_holds_up_neither_requests_nor_the_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")
        nowhere = f"http://127.0.0.1:{free_port()}/v1/traces"
        made = recording_tracer(TracingSettings(nowhere, Sampling(True, 1.0)), "routing")
        tracer = RecordingTracer(made._provider, Sampling(True, 1.0), close_seconds=0.1)

        for _ in range(100):  # many more than there is room for
            tracer.serve("Chat", "").end()
        async with asyncio.timeout(20):
            await tracer.close()

        assert tracer.serve("Chat", "").is_recorded  # still no error for anybody
