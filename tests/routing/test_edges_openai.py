"""OpenAI's HTTP API, as Envoy meets it: answers, plain and streamed, and the models."""

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty
from routing.fakes import (
    FakeAuth,
    FakeProvider,
    answer,
    broken,
    chunk,
    done,
    failing,
    head,
    key_of,
    model,
    snapshot,
)
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving
from routing.openai_edge import MODELS, body, told

from meshgate.config.snapshot import Retries
from meshgate.dialects.neutral import Finished, FinishReason, Started, TextDelta
from meshgate.dialects.openai_chat import grammar
from meshgate.dialects.openai_chat.write_response import StreamWriter
from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.v1 import openai_service_pb2 as pb


def bursts() -> list[bytes]:
    """A whole streamed answer, in the bursts in which it comes."""
    writer = StreamWriter(created=1, include_usage=False)
    return [
        writer.write([Started(id="c-1", served_model="up"), TextDelta("Hel")]),
        writer.write([TextDelta("lo")]),
        writer.write([Finished(reason=FinishReason.STOP, usage=None)]),
    ]


def streamed() -> list[Any]:
    return [head(openai_processing_ms="7"), *map(chunk, bursts()), done()]


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    async with serving(request.param, MODELS, auth, provider) as gateway:
        yield gateway


class TestPlainAnswers:
    async def test_the_body_passes_as_it_is(self, gateway: Gateway, provider: FakeProvider) -> None:
        provider.at("a", answer(b'{"future": 1 }', openai_processing_ms="7"))
        asked = body(temperature=0.1)

        ending = await ending_of(gateway.openai.ChatCompletions(asked, **credentials()))

        assert ending.code is grpc.StatusCode.OK
        assert ending.messages == [
            HttpBody(content_type="application/json", data=b'{"future": 1 }')
        ]
        assert provider.requests[0].body == asked.data

    async def test_headers_tell_who_answered(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", failing("connection"))
        provider.at("b", answer(b"{}", openai_processing_ms="7"))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert ending.headers["x-meshgate-model"] == "m"
        assert ending.headers["x-meshgate-provider"] == "b"
        assert ending.headers["x-meshgate-attempts"] == "2"
        assert ending.headers["openai-processing-ms"] == "7"

    async def test_headers_tell_of_a_fallback(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", failing("context_window"))
        provider.at("c", answer(b"{}"))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert ending.headers["x-meshgate-model"] == "n"

    async def test_a_name_that_no_header_can_carry_is_encoded(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(b"{}"))

        ending = await ending_of(gateway.openai.ChatCompletions(body("größe"), **credentials()))

        assert ending.code is grpc.StatusCode.OK
        assert ending.headers["x-meshgate-model"] == "gr%C3%B6%C3%9Fe"

    async def test_embeddings_are_answered_too(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(b'{"data": []}'))
        asked = HttpBody(data=b'{"model": "m", "input": "hi"}')

        ending = await ending_of(gateway.openai.Embeddings(asked, **credentials()))

        assert [message.data for message in ending.messages] == [b'{"data": []}']
        assert provider.requests[0].body == asked.data


class TestStreams:
    async def test_an_answer_comes_burst_by_burst(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", streamed())

        ending = await ending_of(gateway.openai.ChatCompletions(body(stream=True), **credentials()))

        assert ending.code is grpc.StatusCode.OK
        assert [message.data for message in ending.messages] == bursts()
        assert {message.content_type for message in ending.messages} == {
            "text/event-stream; charset=utf-8"
        }
        grammar.check(b"".join(message.data for message in ending.messages))
        assert ending.headers["x-meshgate-provider"] == "a"
        assert ending.headers["openai-processing-ms"] == "7"

    async def test_a_stream_that_ended_well_was_not_cut_off(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", streamed())

        await ending_of(gateway.openai.ChatCompletions(body(stream=True), **credentials()))

        assert provider.ended == 1
        assert not provider.cancelled.is_set()

    async def test_an_attempt_that_failed_before_its_head_is_made_again(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", [broken("overloaded")])
        provider.at("b", streamed())

        ending = await ending_of(gateway.openai.ChatCompletions(body(stream=True), **credentials()))

        assert [message.data for message in ending.messages] == bursts()
        assert ending.headers["x-meshgate-attempts"] == "2"
        assert provider.ended == 2

    async def test_a_failure_after_the_first_burst_is_an_event_and_then_a_status(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", [head(), chunk(bursts()[0]), broken("connection", message="it was cut")])

        ending = await ending_of(gateway.openai.ChatCompletions(body(stream=True), **credentials()))

        stream = b"".join(message.data for message in ending.messages)
        grammar.check(stream)
        assert b"[DONE]" not in stream
        event = json.loads(ending.messages[-1].data.removeprefix(b"data: "))
        assert event["error"]["message"] == "it was cut"
        assert ending.code is grpc.StatusCode.UNAVAILABLE
        assert provider.tried == ["a"]

    @pytest.mark.parametrize(
        "lie",
        [
            [head(), chunk(bursts()[0])],
            [head(), chunk(bursts()[0]), head(), done()],
            [head(), chunk(bursts()[0]), ServiceUnavailableError("away")],
        ],
        ids=["no end", "a second head", "the service goes away"],
    )
    async def test_a_cut_stream_never_looks_complete(
        self, gateway: Gateway, provider: FakeProvider, lie: list[Any]
    ) -> None:
        provider.at("a", lie)

        ending = await ending_of(gateway.openai.ChatCompletions(body(stream=True), **credentials()))

        assert ending.code is grpc.StatusCode.UNAVAILABLE
        assert b'"error"' in ending.messages[-1].data

    @pytest.mark.parametrize(
        "lie",
        [[], [chunk(bursts()[0]), head(), done()], [done()], [head(), done()], [head()]],
        ids=["nothing", "no head", "only an end", "no chunk", "only a head"],
    )
    async def test_what_is_no_stream_is_a_bare_error(
        self, gateway: Gateway, provider: FakeProvider, lie: list[Any]
    ) -> None:
        provider.at("a", lie)
        gateway.snapshot = snapshot(model("m", "a", retries=Retries(attempts=1)))

        ending = await ending_of(gateway.openai.ChatCompletions(body(stream=True), **credentials()))

        assert ending.messages == []
        assert told(ending)[0] == 502
        assert not any(name.startswith("x-meshgate") for name in ending.headers)

    async def test_what_follows_the_end_is_left_out(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", [*streamed(), chunk(b"data: more\n\n")])

        ending = await ending_of(gateway.openai.ChatCompletions(body(stream=True), **credentials()))

        assert ending.code is grpc.StatusCode.OK
        assert [message.data for message in ending.messages] == bursts()


class TestModels:
    async def test_the_list_holds_what_the_key_may_use_in_the_order_of_the_configuration(
        self, gateway: Gateway, auth: FakeAuth
    ) -> None:
        auth.found["small"] = key_of("small", ["org/*", "m", "unknown"])

        ending = await ending_of(gateway.openai.ListModels(Empty(), **credentials("small")))

        listed = json.loads(ending.messages[0].data)
        assert [item["id"] for item in listed["data"]] == ["m", "org/m/1"]
        assert listed["object"] == "list"

    async def test_the_list_is_for_those_who_are_known(self, gateway: Gateway) -> None:
        ending = await ending_of(gateway.openai.ListModels(Empty(), **credentials("wrong")))

        assert told(ending)[0] == 401

    @pytest.mark.parametrize("name", ["m", "org/m/1"])
    async def test_one_model_is_found_by_its_name(self, gateway: Gateway, name: str) -> None:
        ending = await ending_of(
            gateway.openai.GetModel(pb.GetOpenAiModelRequest(id=name), **credentials())
        )

        assert json.loads(ending.messages[0].data)["id"] == name

    @pytest.mark.parametrize(("name", "status"), [("x", 404), ("m", 403)])
    async def test_one_that_is_unknown_or_not_allowed_is_not_shown(
        self, gateway: Gateway, auth: FakeAuth, name: str, status: int
    ) -> None:
        auth.found["small"] = key_of("small", ["n"])

        ending = await ending_of(
            gateway.openai.GetModel(pb.GetOpenAiModelRequest(id=name), **credentials("small"))
        )

        assert told(ending)[0] == status
