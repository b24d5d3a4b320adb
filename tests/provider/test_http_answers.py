"""Good answers of OpenAI's API, by way of every client."""

import asyncio
import json
from contextlib import aclosing

import pytest
from provider.attempts import (
    KEY,
    attempt,
    chat,
    embeddings,
    streamed,
    streamed_chat,
    typed_chat,
)
from upstream import (
    Behaviour,
    Framing,
    Gate,
    Match,
    SlowHead,
    ToolCall,
)

from meshgate.dialects.grammar import check as check_events
from meshgate.dialects.meshgate_chat.read_response import StreamReader
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_completions import grammar as completion_grammar
from meshgate.provider.api import Connection
from meshgate.provider.apis.openai import openai_api
from meshgate.provider.attempt import StreamHead
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError
from meshgate.v1 import gateway_service_pb2

TEXT = "The quick brown fox jumps over the lazy dog."


async def test_a_plain_answer_passes_untouched(upstream):
    answer = await upstream.answer(attempt(chat(temperature=0.5)))

    assert json.loads(answer.body)["choices"][0]["message"]["content"] == TEXT
    assert answer.served_model == "upstream-model"
    assert answer.finish_reason is FinishReason.STOP
    assert answer.usage == Usage(
        input_tokens=5,
        cached_input_tokens=2,
        output_tokens=9,
        reasoning_tokens=1,
        service_tier="default",
    )
    assert 0 < answer.timings.first_byte_seconds <= answer.timings.total_seconds


async def test_the_request_is_the_callers_but_for_the_model(upstream, fake):
    await upstream.answer(attempt(chat(temperature=0.5, brand_new={"a": [1]}), request_id="req-1"))

    request = fake.requests[0]
    assert request.body == json.loads(chat(temperature=0.5, brand_new={"a": [1]})) | {
        "model": "upstream-model"
    }
    assert request.path == "/v1/chat/completions"
    assert request.header("authorization") == f"Bearer {KEY}"
    assert request.header("content-type") == "application/json"
    assert request.header("user-agent") == "meshgate"
    assert request.header("x-request-id") == "req-1"


@pytest.mark.parametrize("request_id", ["", "a b", "a\r\nx: y", "é", "x" * 129])
async def test_a_request_id_that_is_no_header_stays_here(upstream, fake, request_id):
    await upstream.answer(attempt(chat(), request_id=request_id))

    assert fake.requests[0].header("x-request-id") is None
    assert fake.requests[0].header("x") is None


async def test_configured_headers_go_along(make_upstream, fake):
    upstream = make_upstream(fake.base_url, **{"openai-organization": "org-1", "x-team": "core"})

    await upstream.answer(attempt(chat()))

    assert fake.requests[0].header("openai-organization") == "org-1"
    assert fake.requests[0].header("x-team") == "core"


async def test_only_harmless_headers_of_the_answer_are_shown(upstream, fake):
    fake.default(
        Behaviour(
            headers={
                "openai-processing-ms": "12",
                "x-request-id": "req_1",
                "openai-organization": "org-secret",
                "set-cookie": "a=b",
            }
        )
    )

    answer = await upstream.answer(attempt(chat()))
    stream = await streamed(upstream, attempt(streamed_chat()))

    shown = {"x-upstream-request-id": "req_1", "openai-processing-ms": "12"}
    assert {name: dict(answer.headers).get(name) for name in shown} == shown
    assert dict(answer.headers).keys() <= {*shown, "openai-version"}
    assert stream.head.headers == answer.headers


async def test_a_stream_passes_untouched(upstream):
    stream = await streamed(
        upstream, attempt(streamed_chat(stream_options={"include_usage": True}))
    )

    assert stream.text() == TEXT
    assert b'"usage":{' in stream.body
    assert stream.done.served_model == "upstream-model"
    assert stream.done.finish_reason is FinishReason.STOP
    assert stream.done.usage.output_tokens == 9
    assert 0 < stream.done.timings.first_byte_seconds <= stream.done.timings.total_seconds


async def test_the_usage_of_a_stream_is_known_though_the_caller_did_not_ask(upstream):
    stream = await streamed(upstream, attempt(streamed_chat()))

    assert stream.text() == TEXT
    assert b'"usage":{' not in stream.body
    assert stream.done.usage.input_tokens == 5


async def test_the_service_tier_that_was_served_is_known(upstream):
    plain = await upstream.answer(attempt(chat(service_tier="priority")))
    stream = await streamed(upstream, attempt(streamed_chat(service_tier="flex")))

    assert plain.usage.service_tier == "priority"
    assert stream.done.usage.service_tier == "flex"


async def test_streams_leave_their_connection_for_the_next(upstream, fake):
    for _ in range(3):
        await streamed(upstream, attempt(streamed_chat()))

    assert {request.connection for request in fake.requests} == {0}


async def test_each_event_is_passed_on_as_it_comes(upstream, fake):
    gate = Gate()
    fake.script(Match(), Behaviour(), gate=gate)
    gate.let(2)

    async with aclosing(upstream.stream(attempt(streamed_chat()))) as steps:
        async with asyncio.timeout(10):
            assert isinstance(await anext(steps), StreamHead)
            assert b'"role"' in await anext(steps)
            gate.let(1)
            assert b"The quick" in await anext(steps)
        gate.open()


async def test_events_of_one_read_travel_as_one_chunk(upstream, fake):
    fake.default(Behaviour(framing=Framing(events_per_write=100)))

    stream = await streamed(upstream, attempt(streamed_chat()))

    assert len(stream.chunks) == 1
    assert stream.text() == TEXT


@pytest.mark.parametrize(
    "framing",
    [
        Framing(newline="\r\n"),
        Framing(newline="\r"),
        Framing(start="bom"),
        Framing(comments="before_events"),
        Framing(split_bytes=1),
        Framing(split_bytes=7, newline="\r\n", comments="before_events"),
        Framing(done="missing"),
    ],
    ids=str,
)
async def test_odd_framing_does_no_harm(upstream, fake, framing):
    fake.default(Behaviour(framing=framing))

    stream = await streamed(upstream, attempt(streamed_chat()))

    assert stream.text() == TEXT


async def test_tool_calls_pass(upstream, fake):
    fake.default(Behaviour(tool_calls=(ToolCall("weather", '{"city":"Paris"}'),)))

    answer = await upstream.answer(attempt(chat()))
    stream = await streamed(upstream, attempt(streamed_chat()))

    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert stream.done.finish_reason is FinishReason.TOOL_CALLS
    assert stream.text() == ""


async def test_a_head_that_comes_byte_by_byte_is_a_head(upstream, fake):
    fake.default(Behaviour(fault=SlowHead(interval_seconds=0)))

    assert await upstream.answer(attempt(chat()))


async def test_a_completion_without_messages_passes(upstream, fake):
    body = json.dumps({"model": "m", "prompt": ["a", "b"]}).encode()

    answer = await upstream.answer(attempt(body, "openai_completions", output_cap=20))

    assert [choice["text"] for choice in json.loads(answer.body)["choices"]] == [TEXT, TEXT]
    assert answer.usage.output_tokens == 9
    assert fake.requests[0].path == "/v1/completions"
    assert fake.requests[0].body == {
        "model": "upstream-model",
        "prompt": ["a", "b"],
        "max_tokens": 20,
    }


async def test_a_streamed_completion_passes(upstream):
    body = json.dumps({"model": "m", "prompt": [1, 2, 3], "stream": True}).encode()

    steps = [step async for step in upstream.stream(attempt(body, "openai_completions"))]

    stream = b"".join(step for step in steps if isinstance(step, bytes))
    completion_grammar.check(stream)
    assert b'"usage":{' not in stream
    assert steps[-1].finish_reason is FinishReason.STOP
    assert steps[-1].usage.output_tokens == 9


async def test_embeddings_pass(upstream, fake):
    answer = await upstream.answer(attempt(embeddings(["a", "b"]), "openai_embeddings"))

    assert len(json.loads(answer.body)["data"]) == 2
    assert answer.usage == Usage(input_tokens=5)
    assert fake.requests[0].path == "/v1/embeddings"
    assert fake.requests[0].body["model"] == "upstream-model"


async def test_typed_requests_are_translated_both_ways(upstream, fake):
    answer = await upstream.answer(attempt(typed_chat(temperature=0.5), "meshgate_chat"))

    response = gateway_service_pb2.ChatResponse.FromString(answer.body)
    assert response.message.parts[0].text == TEXT
    assert response.usage.output_tokens == 9
    assert fake.requests[0].body["temperature"] == 0.5
    assert fake.requests[0].body["model"] == "upstream-model"


async def test_typed_streams_are_translated(upstream):
    stream = await streamed(upstream, attempt(typed_chat(), "meshgate_chat"))

    reader = StreamReader()
    events = [event for chunk in stream.chunks for event in reader.feed(chunk)]
    check_events(events)
    assert "".join(getattr(event, "text", "") for event in events) == TEXT
    assert stream.done.usage.output_tokens == 9


async def test_requests_that_cannot_be_read_are_not_sent(upstream, fake):
    with pytest.raises(InvalidRequestError):
        await upstream.answer(attempt(b"{"))
    with pytest.raises(InvalidRequestError):
        await upstream.answer(attempt(streamed_chat()))
    with pytest.raises(InvalidRequestError):
        await streamed(upstream, attempt(chat()))
    with pytest.raises(UnsupportedError):
        await streamed(upstream, attempt(embeddings(), "openai_embeddings"))
    with pytest.raises(UnsupportedError):
        await upstream.answer(attempt(chat(), "unheard_of"))

    assert not fake.requests


def test_credentials_are_not_shown():
    api = openai_api(
        Connection("openai-compatible", "http://upstream/v1", KEY, {"x-api-key": "another-secret"})
    )

    assert KEY not in repr(api)
    assert "another-secret" not in repr(api)


def test_a_configured_authorization_takes_the_place_of_the_key():
    headers = dict(
        openai_api(Connection("openai", "http://u", KEY, {"authorization": "Basic x"})).headers
    )

    assert headers["authorization"] == "Basic x"
