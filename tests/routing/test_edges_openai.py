"""OpenAI's HTTP API, as Envoy meets it."""

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

from meshgate.config.snapshot import Retries
from meshgate.dialects.neutral import Finished, FinishReason, Started, TextDelta
from meshgate.dialects.openai_chat import grammar
from meshgate.dialects.openai_chat.write_response import StreamWriter
from meshgate.dialects.openai_completions import grammar as completion_grammar
from meshgate.dialects.openai_completions.write_response import StreamWriter as CompletionWriter
from meshgate.runtime.errors import InvalidRequestError, ServiceUnavailableError
from meshgate.v1 import openai_service_pb2 as pb
from meshgate.v1 import provider_service_pb2

SECRETS = "sk-upstream"


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


def body(name: str = "m", **more: Any) -> HttpBody:
    asked = {"model": name, "messages": [{"role": "user", "content": "hi"}]} | more
    return HttpBody(content_type="application/json", data=json.dumps(asked).encode())


def told(ending: Any) -> Any:
    """The error that REST clients get, with its status."""
    error = json.loads(ending.trailers["x-meshgate-error"])["error"]
    return int(ending.trailers["x-meshgate-http-status"]), error


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    models = snapshot(
        model("m", "a", "b", fallbacks=("n",)),
        model("n", "c"),
        model("org/m/1", "a"),
        model("größe", "a"),
    )
    async with serving(request.param, models, auth, provider) as gateway:
        yield gateway


class TestCompletions:
    async def test_a_prompt_is_completed(self, gateway: Gateway, provider: FakeProvider) -> None:
        provider.at("a", answer(b'{"future": 1 }'))
        asked = HttpBody(data=b'{"model": "m", "prompt": "Once"}')

        ending = await ending_of(gateway.openai.Completions(asked, **credentials()))

        assert [message.data for message in ending.messages] == [b'{"future": 1 }']
        assert ending.headers["x-meshgate-model"] == "m"
        request = provider.requests[0]
        assert request.dialect == provider_service_pb2.DIALECT_OPENAI_COMPLETIONS
        assert request.body == asked.data

    async def test_a_stream_comes_burst_by_burst(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        writer = CompletionWriter(created=1, include_usage=False)
        said = [Started(id="c-1", served_model="up"), TextDelta("Hel"), TextDelta("lo")]
        end = Finished(reason=FinishReason.STOP, usage=None)
        provider.at(
            "a", [head(), *(chunk(writer.write([event])) for event in (*said, end)), done()]
        )
        asked = HttpBody(data=b'{"model": "m", "prompt": "Once", "stream": true}')

        ending = await ending_of(gateway.openai.Completions(asked, **credentials()))

        assert len(ending.messages) == 4
        completion_grammar.check(b"".join(message.data for message in ending.messages))

    async def test_a_stream_that_breaks_ends_with_an_error(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        writer = CompletionWriter(created=1, include_usage=False)
        begun = writer.write([Started(id="c-1", served_model="up"), TextDelta("Hel")])
        provider.at("a", [head(), chunk(begun), broken("connection")])
        asked = HttpBody(data=b'{"model": "m", "prompt": "Once", "stream": true}')

        ending = await ending_of(gateway.openai.Completions(asked, **credentials()))

        assert b'"error"' in ending.messages[-1].data
        completion_grammar.check(b"".join(message.data for message in ending.messages))

    async def test_a_prompt_that_is_none_is_refused_by_name(self, gateway: Gateway) -> None:
        asked = HttpBody(data=b'{"model": "m", "prompt": 7}')

        ending = await ending_of(gateway.openai.Completions(asked, **credentials()))

        status, error = told(ending)
        assert (status, error["param"]) == (400, "prompt")


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


class TestErrors:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("failed", "status", "kind_of_error"),
        [
            ({"kind": "rate_limited", "retry_after": 60}, 429, "rate_limit_error"),
            ({"kind": "overloaded"}, 503, "server_error"),
            ({"kind": "timeout"}, 504, "server_error"),
            ({"kind": "server_error"}, 502, "server_error"),
            ({"kind": "invalid_request", "upstream_status": 422}, 422, "invalid_request_error"),
        ],
    )
    async def test_an_error_before_the_first_byte_has_status_and_json_and_nothing_else(
        self,
        gateway: Gateway,
        provider: FakeProvider,
        stream: bool,
        failed: dict[str, Any],
        status: int,
        kind_of_error: str,
    ) -> None:
        provider.at("a", [broken(**failed)] if stream else failing(**failed))
        gateway.snapshot = snapshot(model("m", "a", retries=Retries(attempts=1)))

        ending = await ending_of(
            gateway.openai.ChatCompletions(body(stream=stream), **credentials())
        )

        assert ending.messages == []
        assert not any(name.startswith("x-meshgate") for name in ending.headers)
        http_status, error = told(ending)
        assert http_status == status
        assert error["type"] == kind_of_error
        assert error["message"] == f"it met {failed['kind']}"
        assert "grpc-status-details-bin" in ending.trailers
        assert ("retry-after" in ending.trailers) == (status in {429, 503})

    async def test_a_bad_key_is_told_before_the_body_is_read(self, gateway: Gateway) -> None:
        malformed = HttpBody(data=b"{not json")

        ending = await ending_of(gateway.openai.ChatCompletions(malformed, **credentials("wrong")))

        assert told(ending)[0] == 401
        assert told(ending)[1]["code"] == "invalid_api_key"

    async def test_no_key_is_told(self, gateway: Gateway) -> None:
        ending = await ending_of(gateway.openai.ChatCompletions(body(), timeout=20))

        assert told(ending)[0] == 401
        assert ending.code is grpc.StatusCode.UNAUTHENTICATED

    @pytest.mark.parametrize(
        ("data", "part"),
        [
            (b"{not json", "JSON"),
            (b"", "JSON"),
            (b'{"messages": [{}]}', "model"),
            (b'{"model": 7, "messages": [{}]}', "model"),
            (b'{"model": "m\xff", "messages": [{}]}', "UTF-8"),
            (b'{"model": "m", "messages": [{"a": ' + b"[" * 100_000, "nested"),
        ],
    )
    async def test_a_malformed_body_is_told_of_and_goes_nowhere(
        self, gateway: Gateway, provider: FakeProvider, data: bytes, part: str
    ) -> None:
        ending = await ending_of(
            gateway.openai.ChatCompletions(HttpBody(data=data), **credentials())
        )

        http_status, error = told(ending)
        assert http_status == 400
        assert part in error["message"]
        assert provider.requests == []

    async def test_an_unknown_model_is_not_found(self, gateway: Gateway) -> None:
        ending = await ending_of(gateway.openai.ChatCompletions(body("x"), **credentials()))

        assert told(ending)[0] == 404
        assert told(ending)[1]["code"] == "model_not_found"

    async def test_a_model_that_is_not_allowed_is_forbidden(
        self, gateway: Gateway, auth: FakeAuth
    ) -> None:
        auth.found["small"] = key_of("small", ["n"])

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials("small")))

        assert told(ending)[0] == 403
        assert told(ending)[1]["code"] == "model_not_allowed"

    async def test_a_timeout_that_cannot_be_read_is_told_of(self, gateway: Gateway) -> None:
        ending = await ending_of(
            gateway.openai.ChatCompletions(body(), **credentials(x_meshgate_timeout="soon"))
        )

        assert told(ending)[0] == 400
        assert "x-meshgate-timeout" in told(ending)[1]["message"]

    async def test_what_the_provider_service_finds_wrong_is_told_as_it_is(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", InvalidRequestError("no such thing", field="tools[0]"))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert told(ending)[0] == 400
        assert told(ending)[1]["param"] == "tools[0]"
        assert provider.tried == ["a"]

    async def test_an_unexpected_exception_says_nothing_of_itself(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", RuntimeError(SECRETS))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert told(ending)[0] == 500
        assert SECRETS not in repr(ending)


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
