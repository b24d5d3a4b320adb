"""What is counted and recorded of attempts, by OpenTelemetry's names."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest
from collector import Collector, collecting
from prometheus_client import REGISTRY
from provider.attempts import attempt, chat, embeddings, streamed_chat
from provider.configuration import KEY, Secrets, http, snapshot
from upstream import Behaviour, FakeUpstream, Hang, Refuse

from meshgate.config.snapshot import DemoProvider
from meshgate.provider.aiohttp_client import AiohttpClient
from meshgate.provider.attempt import Attempt
from meshgate.provider.execution import Execution
from meshgate.provider.failures import Failure
from meshgate.provider.observation import Observer
from meshgate.provider.targets import Targets
from meshgate.provider.upstreams import Upstreams
from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.recording import recording_tracer
from meshgate.runtime.tracing import NO_TRACER, Tracer
from meshgate.runtime.tracing_settings import Sampling, TracingSettings

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
DURATION = "gen_ai_client_operation_duration_seconds"
TOKENS = "gen_ai_client_token_usage"
FIRST_TOKEN = "gen_ai_server_time_to_first_token_seconds"
PROMPT = "a word that stands nowhere else: quetzalcoatlus"


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
async def tracer(collector: Collector) -> AsyncIterator[Tracer]:
    url = f"{collector.endpoint}/v1/traces"
    tracer = recording_tracer(TracingSettings(url, Sampling(True, 1.0)), "provider")
    yield tracer
    await tracer.close()


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    upstreams = Upstreams(Secrets(UPSTREAM_KEY="sk-first-key"), AiohttpClient)
    yield upstreams
    await upstreams.close()


def executing(
    upstreams: Upstreams, fake: FakeUpstream, provider: str, tracer: Tracer = NO_TRACER
) -> Execution:
    """Makes attempts at a provider of that name, whose one target is `upstream-model`."""
    configured = snapshot(
        http(fake.base_url, provider, api_key=KEY),
        DemoProvider("demo"),
        targets=[(provider, "upstream-model")],
    )
    upstreams.follow(configured)
    return Execution(upstreams, Targets(), Observer(lambda: configured, upstreams.address, tracer))


def traced(wanted: Attempt) -> Attempt:
    return Attempt(
        model=wanted.model,
        dialect=wanted.dialect,
        body=wanted.body,
        timeouts=wanted.timeouts,
        request_id="r-1",
        traceparent=TRACEPARENT,
    )


def told(name: str, provider: str, operation: str = "chat", **more: str) -> float:
    labels = {
        "gen_ai_operation_name": operation,
        "gen_ai_provider_name": provider,
        "gen_ai_request_model": "upstream-model",
        **more,
    }
    return REGISTRY.get_sample_value(name, labels) or 0.0


class TestMetrics:
    async def test_an_answer_is_counted_with_its_tokens(self, upstreams, fake):
        execution = executing(upstreams, fake, "plain")
        answer = await execution.answer("plain", attempt(chat()))

        tokens = [told(f"{TOKENS}_sum", "plain", gen_ai_token_type=t) for t in ("input", "output")]
        assert told(f"{DURATION}_count", "plain", error_type="") == 1
        assert told(f"{DURATION}_sum", "plain", error_type="") == pytest.approx(
            answer.timings.total_seconds
        )
        assert tokens == [answer.usage.input_tokens, answer.usage.output_tokens]
        assert told(f"{FIRST_TOKEN}_count", "plain") == 0

    async def test_a_stream_is_counted_with_the_time_to_its_beginning(self, upstreams, fake):
        execution = executing(upstreams, fake, "streamed")
        async with aclosing(execution.stream("streamed", attempt(streamed_chat()))) as steps:
            [step async for step in steps]

        assert told(f"{DURATION}_count", "streamed", error_type="") == 1
        assert told(f"{FIRST_TOKEN}_count", "streamed") == 1

    async def test_embeddings_are_an_operation_of_their_own(self, upstreams, fake):
        execution = executing(upstreams, fake, "vectors")
        await execution.answer("vectors", attempt(embeddings(), "openai_embeddings"))

        assert told(f"{DURATION}_count", "vectors", "embeddings", error_type="") == 1

    async def test_a_failure_is_counted_by_its_kind_and_says_how_long_it_took(
        self, upstreams, fake
    ):
        fake.default(Behaviour(fault=Refuse(503)))
        execution = executing(upstreams, fake, "failing")
        failure = await execution.answer("failing", attempt(chat()))

        assert isinstance(failure, Failure)
        assert failure.seconds > 0
        assert told(f"{DURATION}_sum", "failing", error_type="overloaded") == failure.seconds
        assert told(f"{DURATION}_count", "failing", error_type="") == 0

    async def test_a_request_that_cannot_be_read_is_counted_as_that(self, upstreams, fake):
        execution = executing(upstreams, fake, "unread")
        with pytest.raises(InvalidRequestError):
            await execution.answer("unread", attempt(b"{"))

        assert told(f"{DURATION}_count", "unread", error_type="invalid_request") == 1

    async def test_a_stream_that_nobody_reads_to_its_end_is_counted_as_cancelled(
        self, upstreams, fake
    ):
        fake.default(Behaviour(fault=Hang(at="event", after_events=2)))
        execution = executing(upstreams, fake, "left")
        async with aclosing(execution.stream("left", attempt(streamed_chat()))) as steps:
            await anext(steps)

        assert told(f"{DURATION}_count", "left", error_type="cancelled") == 1

    async def test_a_model_that_no_configuration_names_is_other(self, upstreams, fake):
        execution = executing(upstreams, fake, "known")
        other = {"gen_ai_operation_name": "chat", "error_type": ""}
        other |= {"gen_ai_provider_name": "other", "gen_ai_request_model": "other"}
        before = REGISTRY.get_sample_value(f"{DURATION}_count", other) or 0.0

        await execution.answer("demo", attempt(chat()))

        assert REGISTRY.get_sample_value(f"{DURATION}_count", other) == before + 1
        assert told(f"{DURATION}_count", "demo", error_type="") == 0


class TestSpans:
    async def test_an_attempt_is_a_client_span_with_genai_attributes(
        self, upstreams, fake, tracer, collector
    ):
        execution = executing(upstreams, fake, "openai", tracer)
        answer = await execution.answer("openai", traced(attempt(chat(PROMPT))))
        [request] = fake.requests
        await tracer.close()

        [span] = collector.spans
        assert (span.name, span.trace_id, span.parent_id) == ("chat upstream-model", TRACE, PARENT)
        assert request.header("traceparent") == f"00-{TRACE}-{span.span_id}-01"
        assert span.attributes == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "upstream-model",
            "gen_ai.response.model": answer.served_model,
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": answer.usage.input_tokens,
            "gen_ai.usage.output_tokens": answer.usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": 0,
            "meshgate.request.id": "r-1",
            "server.address": "127.0.0.1",
            "server.port": int(fake.base_url.split(":")[2].split("/")[0]),
        }
        assert b"quetzalcoatlus" not in b"".join(collector.exports)

    async def test_a_failed_attempt_says_what_kind_and_nothing_of_what_the_upstream_said(
        self, upstreams, fake, tracer, collector
    ):
        fake.default(Behaviour(fault=Refuse(429, message="account of quetzalcoatlus")))
        execution = executing(upstreams, fake, "openai", tracer)
        await execution.answer("openai", traced(attempt(chat())))
        await tracer.close()

        [span] = collector.spans
        assert span.attributes["error.type"] == "rate_limited"
        assert span.attributes["http.response.status_code"] == 429
        assert span.status == 2
        assert b"quetzalcoatlus" not in b"".join(collector.exports)

    async def test_a_stream_that_its_reader_leaves_is_cancelled_and_no_error_of_ours(
        self, upstreams, fake, tracer, collector
    ):
        fake.default(Behaviour(fault=Hang(at="event", after_events=2)))
        execution = executing(upstreams, fake, "openai", tracer)
        wanted = traced(attempt(streamed_chat()))
        async with aclosing(execution.stream("openai", wanted)) as steps:
            await anext(steps)
        await tracer.close()

        [span] = collector.spans
        assert span.attributes["error.type"] == "cancelled"
        assert span.status == 0

    async def test_without_traces_the_traceparent_goes_on_as_it_came(self, upstreams, fake):
        execution = executing(upstreams, fake, "openai")
        await execution.answer("openai", traced(attempt(chat())))

        [request] = fake.requests
        assert request.header("traceparent") == TRACEPARENT
