"""One trace through Envoy, routing and provider, as a collector sees it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from collector import Collector, Span
from gateway_process import ADMIN_KEY, KEY, UPSTREAM_KEY, Gateway
from mesh.shared_gateways import MESH_AND_COMPACT
from upstream import Behaviour, Refuse, RemoteUpstream

pytestmark = [pytest.mark.mesh, MESH_AND_COMPACT]

BOUND_SECONDS = 30
CHAT = "/v1/chat/completions"
PROMPT = "a word that stands nowhere else: quetzalcoatlus"
QUERY = "api_key=not-for-anybody"
SERVER, CLIENT = 2, 3


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


def chat(model: str = "gpt-4o-mini", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": PROMPT}], **more}


class Trace:
    """A trace that a client begins."""

    def __init__(self, flags: str = "01") -> None:
        self.trace_id = secrets.token_hex(16)
        self.span_id = secrets.token_hex(8)
        self.headers = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{flags}"}

    async def spans(self, collector: Collector, count: int, *, edge: bool = False) -> list[Span]:
        """Its spans, once there are so many; those of Envoy, which come late, only if asked for."""
        async with asyncio.timeout(BOUND_SECONDS):
            while len(spans := self._found(collector, edge=edge)) < count:
                await asyncio.sleep(0.05)
        return spans

    def _found(self, collector: Collector, *, edge: bool) -> list[Span]:
        found = collector.trace(self.trace_id)
        return found if edge else [span for span in found if span.service != "meshgate-edge"]


def one(spans: list[Span], wanted: Callable[[Span], bool]) -> Span:
    [found] = [span for span in spans if wanted(span)]
    return found


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_is_one_trace_through_envoy_routing_and_provider(
    client: httpx.AsyncClient, collector: Collector, upstream: RemoteUpstream, *, stream: bool
) -> None:
    trace = Trace()
    url = f"{CHAT}?{QUERY}"
    answer = await client.post(url, json=chat(stream=stream), headers=trace.headers)

    spans = await trace.spans(collector, 5, edge=True)
    edge_in = one(spans, lambda s: s.service == "meshgate-edge" and s.kind == SERVER)
    edge_out = one(spans, lambda s: s.service == "meshgate-edge" and s.kind == CLIENT)
    request = one(spans, lambda s: s.service == "meshgate-routing" and s.kind == SERVER)
    attempt = one(spans, lambda s: s.name == "attempt")
    call = one(spans, lambda s: s.service == "meshgate-provider")
    [seen] = await upstream.requests()

    assert answer.status_code == 200
    assert len(spans) == 5
    assert edge_in.parent_id == trace.span_id
    assert edge_out.parent_id == edge_in.span_id
    assert request.parent_id == edge_out.span_id
    assert attempt.parent_id == request.span_id
    assert call.parent_id == attempt.span_id
    assert seen.header("traceparent") == f"00-{trace.trace_id}-{call.span_id}-01"


@pytest.mark.parametrize("stream", [False, True])
async def test_spans_say_who_asked_whom_for_what_and_what_it_took(
    gateway: Gateway, client: httpx.AsyncClient, collector: Collector, *, stream: bool
) -> None:
    trace = Trace()
    body = chat(stream=stream, **({"stream_options": {"include_usage": True}} if stream else {}))
    await client.post(CHAT, json=body, headers={**trace.headers, "x-request-id": "r-77"})

    spans = await trace.spans(collector, 3)
    request = one(spans, lambda s: s.service == "meshgate-routing" and s.kind == SERVER)
    call = one(spans, lambda s: s.service == "meshgate-provider")

    port = int(gateway.upstream.rsplit(":", 1)[1])
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "main",
        "gen_ai.request.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.finish_reasons": ("stop",),
        "server.address": "127.0.0.1",
        "server.port": port,
        "meshgate.request.id": "r-77",
    }
    assert (call.name, call.kind, call.status) == ("chat gpt-4o-mini-2024-07-18", CLIENT, 0)
    assert expected.items() <= call.attributes.items()
    assert call.attributes["gen_ai.usage.input_tokens"] > 0
    assert call.attributes["gen_ai.usage.output_tokens"] > 0
    asked = {
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.provider.name": "main",
        "meshgate.key.id": "config/test",
        "meshgate.organization.id": "default",
        "meshgate.attempts": 1,
        "meshgate.outcome": "answered",
        "meshgate.request.id": "r-77",
    }
    assert request.name == "OpenAiService.ChatCompletions"
    assert asked.items() <= request.attributes.items()
    assert request.began_at <= call.began_at < call.ended_at <= request.ended_at


async def test_each_attempt_and_what_went_wrong_with_it_is_a_span(
    client: httpx.AsyncClient, collector: Collector, upstream: RemoteUpstream
) -> None:
    await upstream.script(PROMPT, Behaviour(fault=Refuse(503)), times=1)
    trace = Trace()
    answer = await client.post(CHAT, json=chat(), headers=trace.headers)

    spans = await trace.spans(collector, 5)
    attempts = sorted((s for s in spans if s.name == "attempt"), key=lambda s: s.began_at)
    calls = sorted((s for s in spans if s.service == "meshgate-provider"), key=lambda s: s.began_at)

    assert answer.headers["x-meshgate-attempts"] == "2"
    assert [s.attributes.get("error.type") for s in attempts] == ["overloaded", None]
    assert [s.attributes["meshgate.attempt.number"] for s in attempts] == [1, 2]
    assert [s.attributes.get("error.type") for s in calls] == ["overloaded", None]
    assert calls[0].attributes["http.response.status_code"] == 503


async def test_a_request_that_is_refused_is_told_too(
    client: httpx.AsyncClient, collector: Collector
) -> None:
    trace = Trace()
    headers = {**trace.headers, "authorization": "Bearer mg-nobody-0123456789abcdef"}
    answer = await client.post(CHAT, json=chat(), headers=headers)

    spans = await trace.spans(collector, 1)
    request = one(spans, lambda s: s.service == "meshgate-routing")

    assert answer.status_code == 401
    assert request.attributes["error.type"] == "credential_invalid"
    assert request.status == 0  # the caller is to blame


async def test_a_trace_that_its_client_does_not_sample_is_passed_on_and_not_recorded(
    client: httpx.AsyncClient, collector: Collector, upstream: RemoteUpstream
) -> None:
    unsampled, sampled = Trace("00"), Trace()
    await client.post(CHAT, json=chat(), headers=unsampled.headers)
    await client.post(CHAT, json=chat(), headers=sampled.headers)

    await sampled.spans(collector, 3)  # by then the other would be there
    [first, _] = await upstream.requests()

    assert collector.trace(unsampled.trace_id) == []
    assert (first.header("traceparent") or "").startswith(f"00-{unsampled.trace_id}-")
    assert (first.header("traceparent") or "").endswith("-00")


async def test_no_prompt_answer_or_secret_is_exported(
    client: httpx.AsyncClient, collector: Collector
) -> None:
    trace = Trace()
    answer = await client.post(f"{CHAT}?{QUERY}", json=chat(), headers=trace.headers)
    text = answer.json()["choices"][0]["message"]["content"]

    await trace.spans(collector, 5, edge=True)
    exported = b"".join(collector.exports)

    assert text
    for secret in (PROMPT, "quetzalcoatlus", text, KEY, ADMIN_KEY, UPSTREAM_KEY, QUERY):
        assert secret.encode() not in exported
