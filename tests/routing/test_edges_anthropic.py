"""Anthropic's HTTP API, as Envoy meets it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fakes import FakeAuth, FakeProvider, answer, broken, chunk, done, failing, head
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving
from routing.openai_edge import MODELS

from meshgate.dialects.anthropic_messages import grammar
from meshgate.dialects.anthropic_messages.write_response import StreamWriter
from meshgate.dialects.neutral import Finished, FinishReason, Started, TextDelta
from meshgate.v1 import provider_service_pb2 as pb

TOLD = (("anthropic-version", "2026-10-21"), ("anthropic-beta", "a-1"))


def body(**more: Any) -> HttpBody:
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return HttpBody(data=json.dumps(asked | more).encode())


def bursts() -> list[bytes]:
    writer = StreamWriter(created=1, include_usage=True)
    return [
        writer.write([Started(id="m-1", served_model="up"), TextDelta("Hel")]),
        writer.write([TextDelta("lo"), Finished(reason=FinishReason.STOP)]),
    ]


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    async with serving(request.param, MODELS, auth, provider) as gateway:
        yield gateway


async def test_the_body_passes_as_it_is(gateway: Gateway, provider: FakeProvider) -> None:
    provider.at("a", answer(b'{"future": 1 }'))

    ending = await ending_of(gateway.anthropic.Messages(body(), **credentials()))

    assert ending.messages[0].data == b'{"future": 1 }'
    assert provider.requests[0].body == body().data
    assert provider.requests[0].dialect == pb.DIALECT_ANTHROPIC_MESSAGES


async def test_what_callers_say_of_the_api_is_passed_on(
    gateway: Gateway, provider: FakeProvider
) -> None:
    provider.at("a", answer(b"{}"))
    given = credentials()
    given["metadata"] = (*given["metadata"], *TOLD, ("x-other", "no"))

    await ending_of(gateway.anthropic.Messages(body(), **given))

    assert [(it.name, it.value) for it in provider.requests[0].headers] == list(TOLD)


async def test_a_stream_comes_in_bursts(gateway: Gateway, provider: FakeProvider) -> None:
    provider.at("a", [head(), *map(chunk, bursts()), done()])

    ending = await ending_of(gateway.anthropic.Messages(body(stream=True), **credentials()))

    passed = b"".join(message.data for message in ending.messages)
    grammar.check(passed)
    assert ending.messages[0].content_type == "text/event-stream; charset=utf-8"


async def test_a_stream_that_breaks_ends_with_an_error_event(
    gateway: Gateway, provider: FakeProvider
) -> None:
    provider.at("a", [head(), chunk(bursts()[0]), broken("connection")])

    ending = await ending_of(gateway.anthropic.Messages(body(stream=True), **credentials()))

    passed = b"".join(message.data for message in ending.messages)
    grammar.check(passed)
    assert b"event: error" in passed


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [("overloaded", 529, "overloaded_error"), ("rate_limited", 429, "rate_limit_error")],
)
async def test_errors_have_anthropics_words_and_statuses(
    gateway: Gateway, provider: FakeProvider, kind: str, status: int, word: str
) -> None:
    provider.at("a", failing(kind))
    provider.at("b", failing(kind))
    provider.at("c", failing(kind))

    ending = await ending_of(gateway.anthropic.Messages(body(), **credentials()))

    assert ending.code is not grpc.StatusCode.OK
    assert int(ending.trailers["x-meshgate-http-status"]) == status
    assert json.loads(ending.trailers["x-meshgate-error"])["error"]["type"] == word


async def test_a_count_is_answered(gateway: Gateway, provider: FakeProvider) -> None:
    provider.at("a", answer(b'{"input_tokens":3}'))
    asked = HttpBody(data=b'{"model":"m","messages":[{"role":"user","content":"hi"}]}')

    ending = await ending_of(gateway.anthropic.CountTokens(asked, **credentials()))

    assert ending.messages[0].data == b'{"input_tokens":3}'
    assert provider.requests[0].dialect == pb.DIALECT_ANTHROPIC_TOKEN_COUNT
