"""The typed public API."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from routing.fakes import (
    BOUND_SECONDS,
    HANG,
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

from meshgate.dialects import grammar
from meshgate.dialects.meshgate_chat.write_response import StreamWriter
from meshgate.dialects.neutral import Finished, FinishReason, Started, TextDelta, Usage
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import chat_pb2, provider_service_pb2
from meshgate.v1 import gateway_service_pb2 as pb

ANSWER = pb.ChatResponse(
    id="c-1",
    served_model="up",
    message=chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, parts=[chat_pb2.Part(text="Hello")]),
)
EVENTS = (
    Started(id="c-1", served_model="up"),
    TextDelta("Hel"),
    TextDelta("lo"),
    Finished(reason=FinishReason.STOP, usage=Usage(input_tokens=1, output_tokens=2)),
)


def asking(name: str = "m", **fields: Any) -> pb.ChatRequest:
    hello = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text="hi")])
    return pb.ChatRequest(**({"model": name, "messages": [hello]} | fields))


def streaming(name: str = "m", **fields: Any) -> pb.StreamChatRequest:
    return pb.StreamChatRequest(chat=asking(name, **fields))


def streamed() -> list[Any]:
    writer = StreamWriter(created=1, include_usage=True)
    bursts = [writer.write(EVENTS[:2]), writer.write(EVENTS[2:3]), writer.write(EVENTS[3:])]
    return [head(), *map(chunk, bursts), done()]


def details(ending: Any) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest]:
    status = status_pb2.Status.FromString(ending.trailers["grpc-status-details-bin"])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    return info, bad


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    models = snapshot(model("m", "a", "b"))
    async with serving(request.param, models, auth, provider) as gateway:
        yield gateway


class TestChat:
    async def test_a_question_is_answered(self, gateway: Gateway, provider: FakeProvider) -> None:
        provider.at("a", answer(ANSWER.SerializeToString()))

        ending = await ending_of(gateway.typed.Chat(asking(), **credentials()))

        assert ending.messages == [ANSWER]
        assert ending.headers["x-meshgate-provider"] == "a"
        asked = provider.requests[0]
        assert asked.dialect == provider_service_pb2.DIALECT_MESHGATE_CHAT
        assert pb.ChatRequest.FromString(asked.body) == asking()

    async def test_binary_metadata_does_no_harm(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(ANSWER.SerializeToString()))
        wanted = credentials()
        wanted["metadata"].append(("grpc-trace-bin", b"\x00\xff"))

        ending = await ending_of(gateway.typed.Chat(asking(), **wanted))

        assert ending.code is grpc.StatusCode.OK

    @pytest.mark.parametrize(
        ("request_", "field"),
        [(asking(""), "model"), (asking(messages=[]), "messages")],
    )
    @pytest.mark.parametrize("method", ["Chat", "StreamChat"])
    async def test_what_is_missing_is_named(
        self, gateway: Gateway, provider: FakeProvider, method: str, request_: Any, field: str
    ) -> None:
        message = request_ if method == "Chat" else pb.StreamChatRequest(chat=request_)

        ending = await ending_of(getattr(gateway.typed, method)(message, **credentials()))

        assert ending.code is grpc.StatusCode.INVALID_ARGUMENT
        info, bad = details(ending)
        assert info.reason == "ERROR_REASON_INVALID_REQUEST"
        assert [violation.field for violation in bad.field_violations] == [field]
        assert provider.requests == []

    async def test_what_the_provider_service_finds_wrong_is_named(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", InvalidRequestError("no role", field="messages[0].role"))

        ending = await ending_of(gateway.typed.Chat(asking(), **credentials()))

        assert details(ending)[1].field_violations[0].field == "messages[0].role"

    async def test_a_bad_key_is_told_before_the_question_is_looked_at(
        self, gateway: Gateway
    ) -> None:
        ending = await ending_of(gateway.typed.Chat(pb.ChatRequest(), **credentials("wrong")))

        assert ending.code is grpc.StatusCode.UNAUTHENTICATED

    @pytest.mark.parametrize(("name", "code"), [("x", "NOT_FOUND"), ("m", "PERMISSION_DENIED")])
    async def test_a_model_that_is_unknown_or_not_allowed_is_told(
        self, gateway: Gateway, auth: FakeAuth, name: str, code: str
    ) -> None:
        auth.found["small"] = key_of("small", ["n"])

        ending = await ending_of(gateway.typed.Chat(asking(name), **credentials("small")))

        assert ending.code is grpc.StatusCode[code]
        assert details(ending)[0].metadata["model"] == name

    async def test_an_error_is_the_genuine_status_without_the_json_of_a_dialect(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", failing("rate_limited", retry_after=60))
        provider.at("b", failing("rate_limited", retry_after=60))

        ending = await ending_of(gateway.typed.Chat(asking(), **credentials()))

        assert ending.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ending.trailers["retry-after"] == "60"
        assert details(ending)[0].reason == "ERROR_REASON_UPSTREAM_RATE_LIMITED"
        assert "x-meshgate-error" not in ending.trailers
        assert not any(name.startswith("x-meshgate") for name in ending.headers)

    async def test_an_answer_that_cannot_be_read_is_an_internal_error(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(b"\xff not a message"))

        ending = await ending_of(gateway.typed.Chat(asking(), **credentials()))

        assert ending.code is grpc.StatusCode.INTERNAL
        assert ending.message == "internal error"
        assert not any(name.startswith("x-meshgate") for name in ending.headers)

    async def test_a_deadline_is_never_exceeded(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", HANG)

        ending = await ending_of(gateway.typed.Chat(asking(), **(credentials() | {"timeout": 0.5})))

        assert ending.code is grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(BOUND_SECONDS):
            await provider.cancelled.wait()

    async def test_leaving_cancels_the_attempt(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", HANG)
        call = gateway.typed.Chat(asking(), **credentials())
        waiting = asyncio.ensure_future(call)
        async with asyncio.timeout(BOUND_SECONDS):
            await provider.entered.wait()
            waiting.cancel()
            await provider.cancelled.wait()

        await asyncio.wait([waiting])


class TestStreamChat:
    async def test_events_come_one_by_one_and_numbered(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", streamed())

        ending = await ending_of(gateway.typed.StreamChat(streaming(), **credentials()))

        events = [message.event for message in ending.messages]
        assert [event.sequence_number for event in events] == [0, 1, 2, 3]
        assert [event.WhichOneof("kind") for event in events] == [
            "started",
            "text_delta",
            "text_delta",
            "finished",
        ]
        assert ending.code is grpc.StatusCode.OK
        assert ending.headers["x-meshgate-attempts"] == "1"
        assert provider.ended == 1
        grammar.check(EVENTS)

    @pytest.mark.parametrize("before", [[], [head()]], ids=["before the head", "after it"])
    async def test_an_error_before_the_first_event_is_bare(
        self, gateway: Gateway, provider: FakeProvider, before: list[Any]
    ) -> None:
        provider.at("a", [*before, broken("server_error")])
        provider.at("b", [broken("overloaded")])

        ending = await ending_of(gateway.typed.StreamChat(streaming(), **credentials()))

        assert ending.messages == []
        assert ending.code is grpc.StatusCode.UNAVAILABLE
        assert not any(name.startswith("x-meshgate") for name in ending.headers)

    async def test_a_failure_after_the_first_event_ends_without_finished(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", [*streamed()[:2], broken("connection")])

        ending = await ending_of(gateway.typed.StreamChat(streaming(), **credentials()))

        assert [message.event.WhichOneof("kind") for message in ending.messages] == [
            "started",
            "text_delta",
        ]
        assert details(ending)[0].reason == "ERROR_REASON_UPSTREAM_FAILED"

    async def test_leaving_in_the_middle_cancels_the_attempt(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", [*streamed()[:2], HANG])
        call = gateway.typed.StreamChat(streaming(), **credentials())
        await anext(aiter(call))

        call.cancel()

        async with asyncio.timeout(BOUND_SECONDS):
            await provider.cancelled.wait()
