"""Streams that are kept and told again."""

import asyncio
import contextlib
import json

from routing.cached import (
    answered,
    asking,
    said,
    streamed,
    word,
)
from routing.fake_cache import FakeCache
from routing.fakes import (
    HANG,
    FakeProvider,
    until,
)
from routing.gateway import Gateway, credentials, ending_of

from meshgate.dialects.openai_chat import grammar
from meshgate.v1 import gateway_service_pb2


async def test_a_plain_answer_is_told_again_as_a_legal_stream(ask, provider: FakeProvider):
    await ask()

    again = await ask(stream=True, stream_options={"include_usage": True})

    assert word(again) == "hit"
    grammar.check(said(again))
    assert b'"content":"hello"' in said(again)
    assert b'"prompt_tokens":5' in said(again)
    assert len(provider.requests) == 1


async def test_a_streamed_answer_is_told_again_streamed_and_plain(ask, provider: FakeProvider):
    provider.at("a", streamed("he", "llo"))

    first = await ask(stream=True)
    again, plain = await ask(stream=True), await ask()

    assert [word(each) for each in (first, again, plain)] == ["miss", "hit", "hit"]
    grammar.check(said(again))
    assert b'"usage"' not in said(again)
    told = json.loads(said(plain))
    assert told["choices"][0]["message"]["content"] == "hello"
    assert told["choices"][0]["finish_reason"] == "stop"
    assert told["usage"]["completion_tokens"] == 7
    assert len(provider.requests) == 1


async def test_a_client_that_leaves_a_stream_has_nothing_kept(
    gateway: Gateway, ask, provider: FakeProvider, cache: FakeCache
):
    provider.at("a", [*streamed("he")[:-2], HANG])
    call = gateway.openai.ChatCompletions(asking(stream=True), **credentials())
    await anext(aiter(call))

    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call.code()

    await until(provider.cancelled.is_set)
    assert cache.stores == []
    provider.at("a", answered())
    assert word(await ask()) == "miss"


async def test_a_stream_that_an_upstream_cuts_is_not_kept(
    ask, provider: FakeProvider, cache: FakeCache
):
    provider.at("a", streamed("he")[:-2])

    await ask(stream=True)

    provider.at("a", answered())
    assert word(await ask()) == "miss"
    assert all(b"hello" in item.entry.body for item in cache.stores)


async def test_streams_that_say_less_than_plain_answers_are_passed_by(
    ask, provider: FakeProvider, cache: FakeCache
):
    await ask(n=2)
    provider.at("a", streamed("x"))

    first, second = await ask(n=2, stream=True), await ask(n=2, stream=True)
    plain = await ask(n=2)

    assert [word(each) for each in (first, second, plain)] == ["bypass", "bypass", "hit"]


async def test_typed_clients_share_their_answers_streamed_and_plain(
    gateway: Gateway, provider: FakeProvider
):
    reply = gateway_service_pb2.ChatResponse(
        id="c",
        served_model="up",
        message={"role": "ROLE_ASSISTANT", "parts": [{"text": "hello"}]},
        finish_reason="FINISH_REASON_STOP",
    )
    provider.at("a", answered(reply.SerializeToString()))
    request = gateway_service_pb2.ChatRequest(
        model="m", messages=[{"role": "ROLE_USER", "parts": [{"text": "hi"}]}]
    )
    plain = await ending_of(gateway.typed.Chat(request, **credentials()))

    again = await ending_of(
        gateway.typed.StreamChat(
            gateway_service_pb2.StreamChatRequest(chat=request), **credentials()
        )
    )

    assert plain.messages == [reply]
    assert word(again) == "hit"
    events = [message.event for message in again.messages]
    assert [each.WhichOneof("kind") for each in events] == ["started", "text_delta", "finished"]
    assert [each.sequence_number for each in events] == [0, 1, 2]
    assert len(provider.requests) == 1
