"""What streamed answers say at their end they have cost, which is what is booked."""

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fake_cache import FakeCache
from routing.fake_quota import FakeQuota
from routing.fakes import FakeAuth, FakeProvider, broken, chunk, done, head, until
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving
from routing.priced import COST_NANOS, COST_USD, MODELS, USAGE, completion, used

from meshgate.dialects.meshgate_chat.write_response import StreamWriter
from meshgate.dialects.neutral import Finished, FinishReason, Started, TextDelta, Usage
from meshgate.v1 import chat_pb2, usage_pb2
from meshgate.v1 import gateway_service_pb2 as pb

HELLO = [Started(id="c-1", served_model="up"), TextDelta("hello "), TextDelta("world")]
END = Finished(reason=FinishReason.STOP, usage=Usage(input_tokens=5, output_tokens=7))
STOP = {"index": 0, "delta": {}, "finish_reason": "stop"}
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def quota() -> FakeQuota:
    return FakeQuota()


@pytest.fixture
def cache() -> FakeCache:
    return FakeCache()


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest,
    auth: FakeAuth,
    provider: FakeProvider,
    quota: FakeQuota,
    cache: FakeCache,
) -> AsyncIterator[Gateway]:
    async with serving(request.param, MODELS, auth, provider, quota=quota, cache=cache) as gateway:
        yield gateway


def ended(usage: usage_pb2.Usage | None = USAGE) -> Any:
    step = done()
    if usage is not None:
        step.done.usage.CopyFrom(usage)
    return step


def event(*choices: Any, **more: Any) -> bytes:
    told = {"id": "c-1", "object": "chat.completion.chunk", "created": 9, "model": "up"}
    return b"data: " + json.dumps(told | {"choices": list(choices)} | more).encode() + b"\n\n"


def said(text: str) -> bytes:
    return event({"index": 0, "delta": {"content": text}, "finish_reason": None})


def streamed(usage: usage_pb2.Usage | None = USAGE) -> list[Any]:
    """What provider says of an answer in OpenAI's chat, without the usage in a chunk."""
    end = chunk(event(STOP) + DONE)
    return [head(), chunk(said("hello ")), chunk(said("world")), end, ended(usage)]


def told(usage: usage_pb2.Usage | None = USAGE) -> list[Any]:
    """What provider says of a typed answer."""
    writer = StreamWriter(created=1, include_usage=True)
    bursts = [writer.write(HELLO), writer.write([END])]
    return [head(), *map(chunk, bursts), ended(usage)]


def typed(model: str = "m") -> pb.ChatRequest:
    hello = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text="hi")])
    return pb.ChatRequest(model=model, messages=[hello])


@pytest.fixture
def ask(gateway: Gateway) -> Any:
    """Asks in OpenAI's chat, and for the cost; gives the events."""

    async def ask(model: str = "m", wants: str = "true", **more: Any) -> list[Any]:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
        asked = HttpBody(data=json.dumps(body | more).encode())
        call = gateway.openai.ChatCompletions(asked, **credentials(x_meshgate_include_cost=wants))
        ending = await ending_of(call)
        assert ending.code is grpc.StatusCode.OK, ending
        texts = b"".join(message.data for message in ending.messages).decode().split("\n\n")
        return [
            json.loads(data) if data.startswith("{") else data
            for text in texts
            if (data := text.removeprefix("data: "))
        ]

    return ask


@pytest.fixture
def stream(gateway: Gateway) -> Any:
    """Asks by the typed API; gives what the last event says."""

    async def stream(model: str = "m") -> Any:
        request = pb.StreamChatRequest(chat=typed(model))
        ending = await ending_of(gateway.typed.StreamChat(request, **credentials()))
        assert [message.event.sequence_number for message in ending.messages] == [0, 1, 2, 3]
        return ending.messages[-1].event.finished

    return stream


async def booked(quota: FakeQuota) -> int:
    """The cost of the one request, once it is settled."""
    await until(lambda: quota.records)
    (record,) = quota.records
    return sum(charge.cost_nanos for charge in record.charges)


class TestOpenAiStreams:
    async def test_who_asks_is_told_in_the_chunk_with_the_usage(
        self, ask: Any, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("a", streamed())

        *_, stop, usage, done = await ask()

        assert stop["choices"][0]["finish_reason"] == "stop"
        assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 7)
        assert usage["meshgate"] == {"cost_usd": COST_USD}
        assert done == "[DONE]"
        assert await booked(quota) == COST_NANOS

    @pytest.mark.parametrize("wants", ["false", "False "])
    async def test_who_does_not_ask_is_not(
        self, ask: Any, provider: FakeProvider, wants: str
    ) -> None:
        provider.at("a", streamed())

        events = await ask(wants=wants)

        assert "usage" not in json.dumps(events)
        assert len(events) == 4

    async def test_attempts_that_failed_are_in_it(self, ask: Any, provider: FakeProvider) -> None:
        error = broken("server_error")
        error.failure.usage.CopyFrom(usage_pb2.Usage(input_tokens=5))
        provider.at("a", [error])
        provider.at("b", streamed())

        *_, usage, _ = await ask()

        assert usage["meshgate"] == {"cost_usd": "0.0000057"}

    async def test_what_is_counted_here_is_told(
        self, ask: Any, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("a", streamed(None))

        *_, usage, _ = await ask()

        assert usage["usage"]["completion_tokens"] == 2
        told = usage["meshgate"]["cost_usd"]
        assert told == f"{await booked(quota) / 1e9:.9f}".rstrip("0")

    async def test_without_a_price_the_usage_comes_alone(
        self, ask: Any, provider: FakeProvider
    ) -> None:
        provider.at("a", streamed())

        *_, usage, _ = await ask("unpriced")

        assert usage["usage"]["completion_tokens"] == 7
        assert "meshgate" not in usage

    async def test_what_was_kept_costs_nothing(
        self, ask: Any, provider: FakeProvider, cache: FakeCache
    ) -> None:
        provider.at("a", streamed())

        *_, first, _ = await ask("cached")
        await until(lambda: cache.entries)
        *_, again, _ = await ask("cached")

        assert first["meshgate"] == {"cost_usd": COST_USD}
        assert again["usage"]["completion_tokens"] == 7
        assert again["meshgate"] == {"cost_usd": "0"}
        assert len(provider.requests) == 1
        (entry,) = cache.entries.values()
        assert b"meshgate" not in entry.body

    async def test_a_stream_that_breaks_tells_its_error_and_no_cost(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", [head(), chunk(said("hello")), broken("server_error")])
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        asked = HttpBody(data=json.dumps(body).encode())
        wants = credentials(x_meshgate_include_cost="true")

        ending = await ending_of(gateway.openai.ChatCompletions(asked, **wants))

        text = b"".join(message.data for message in ending.messages)
        assert b'"error"' in text
        assert b"meshgate" not in text
        assert b"[DONE]" not in text

    async def test_a_header_that_says_neither_is_refused(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        asked = HttpBody(data=b'{"model": "m", "messages": [], "stream": true}')
        wants = credentials(x_meshgate_include_cost="perhaps")

        ending = await ending_of(gateway.openai.ChatCompletions(asked, **wants))

        assert ending.code is grpc.StatusCode.INVALID_ARGUMENT
        assert "x-meshgate-include-cost" in ending.message
        assert provider.requests == []

    async def test_a_plain_answer_is_as_ever(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", used(completion()))
        asked = HttpBody(data=b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}')
        wants = credentials(x_meshgate_include_cost="true")

        ending = await ending_of(gateway.openai.ChatCompletions(asked, **wants))

        assert ending.messages[0].data == completion()


class TestTypedStreams:
    async def test_the_last_event_tells_it(
        self, stream: Any, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("a", told())

        finished = await stream()

        assert finished.cost_nanos == await booked(quota) == COST_NANOS

    async def test_what_is_free_is_told_from_what_has_no_price(
        self, stream: Any, provider: FakeProvider
    ) -> None:
        provider.at("a", told(), told(None), told())

        free, *unpriced = [await stream(model) for model in ("free", "unpriced", "unpriced")]

        assert free.HasField("cost_nanos")
        assert not any(finished.HasField("cost_nanos") for finished in unpriced)

    async def test_what_is_counted_here_is_told(
        self, stream: Any, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("a", told(None))

        finished = await stream()

        assert finished.cost_nanos == await booked(quota) > 0

    async def test_what_comes_whole_is_whole_and_counted_if_nobody_tells_what_it_used(
        self, stream: Any, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("a", [*told()[:-1], broken("server_error")])

        finished = await stream()

        assert finished.cost_nanos == await booked(quota) > 0

    async def test_turns_of_a_conversation_tell_it(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", [broken("server_error")])

        async def requests() -> AsyncIterator[pb.ConverseRequest]:
            yield pb.ConverseRequest(start={"chat": pb.ChatRequest(model="m")})
            yield pb.ConverseRequest(user={"parts": [chat_pb2.Part(text="hi")]})
            yield pb.ConverseRequest(finish={})

        provider.at("b", told())
        responses = [
            response async for response in gateway.typed.Converse(requests(), **credentials())
        ]

        assert responses[-1].event.finished.cost_nanos == COST_NANOS
