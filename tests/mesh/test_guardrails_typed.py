"""What may pass for users of generated stubs, through the public port."""

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from gateway_process import KEY, Gateway
from google.rpc import error_details_pb2, status_pb2
from mesh.sensitive import BOUND_SECONDS, EMAIL, PROMPT, SECRET, booked, written_about
from mesh.shared_gateways import MESH_AND_COMPACT
from routing.gateway import credentials
from routing.talking import Talk, kinds, start, text, user
from upstream import Behaviour, RemoteUpstream, ToolCall
from upstream.behaviours import DEFAULT_TEXT

from meshgate.v1 import chat_pb2, usage_record_pb2
from meshgate.v1 import gateway_service_pb2 as pb
from meshgate.v1.gateway_service_pb2_grpc import GatewayServiceStub

pytestmark = [pytest.mark.mesh, MESH_AND_COMPACT]

FILTERED = chat_pb2.FINISH_REASON_CONTENT_FILTER


@pytest.fixture
async def stub(gateway: Gateway) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(gateway.grpc_target) as channel:
        yield GatewayServiceStub(channel)


@pytest.fixture
async def talk(gateway: Gateway, stub: Any) -> AsyncIterator[Talk]:
    """A conversation that has begun."""
    called = credentials(KEY, x_request_id=f"talk-{gateway.mode}")
    talk = Talk(stub, called)
    await talk.send(start("guarded"))
    yield talk
    talk.call.cancel()


def question(words: str) -> pb.ChatRequest:
    part = chat_pb2.Part(text=f"{PROMPT}: {words}")
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[part])
    return pb.ChatRequest(model="guarded", messages=[message])


def reason(details: Any) -> str:
    info = error_details_pb2.ErrorInfo()
    assert details[0].Unpack(info)
    return info.reason.removeprefix("ERROR_REASON_")


def refusal(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    return error.code(), reason(status_pb2.Status.FromString(details).details)


async def streamed(stub: Any, words: str) -> list[chat_pb2.ChatEvent]:
    request = pb.StreamChatRequest(chat=question(words))
    return [each.event async for each in stub.StreamChat(request, **credentials(KEY))]


async def said(upstream: RemoteUpstream) -> list[list[tuple[str, Any]]]:
    """What each request told the upstream."""
    return [
        [(each["role"], each.get("content")) for each in request.body["messages"]]
        for request in await upstream.requests()
    ]


async def test_chat_is_masked_both_ways(stub: Any, upstream: RemoteUpstream) -> None:
    await upstream.script("whom", Behaviour(text=f"Ask {EMAIL}."))
    answer = await stub.Chat(question(f"I am {EMAIL}; whom?"), **credentials(KEY))

    assert answer.message.parts[0].text == "Ask [EMAIL]."
    assert await said(upstream) == [[("user", f"{PROMPT}: I am [EMAIL]; whom?")]]


async def test_a_blocked_answer_has_no_parts(stub: Any, upstream: RemoteUpstream) -> None:
    await upstream.script("key", Behaviour(text=f"It is {SECRET}."))
    answer = await stub.Chat(question("the key?"), **credentials(KEY))

    assert answer.finish_reason == FILTERED
    assert SECRET not in str(answer)
    assert answer.usage.output_tokens > 0


async def test_a_blocked_request_is_an_invalid_argument(
    stub: Any, upstream: RemoteUpstream
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as plain:
        await stub.Chat(question(SECRET), **credentials(KEY))
    with pytest.raises(grpc.aio.AioRpcError) as stream:
        await streamed(stub, SECRET)

    expected = (grpc.StatusCode.INVALID_ARGUMENT, "CONTENT_BLOCKED")
    assert refusal(plain.value) == refusal(stream.value) == expected
    assert SECRET not in str(plain.value) + str(stream.value)
    assert await upstream.requests() == []


@pytest.mark.parametrize("chunks", [1, 2, 5, 40])
async def test_a_stream_is_masked_and_numbered_however_it_was_cut(
    stub: Any, upstream: RemoteUpstream, chunks: int
) -> None:
    await upstream.script("whom", Behaviour(text=f"Ask {EMAIL} or nobody.", chunks=chunks))
    events = await streamed(stub, "whom?")

    assert "".join(each.text_delta for each in events) == "Ask [EMAIL] or nobody."
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert events[-1].finished.reason == chat_pb2.FINISH_REASON_STOP


@pytest.mark.parametrize("chunks", [1, 2, 5, 40])
async def test_a_stream_that_is_blocked_finishes(
    stub: Any, upstream: RemoteUpstream, chunks: int
) -> None:
    await upstream.script("key", Behaviour(text=f"It is this: {SECRET} now", chunks=chunks))
    events = await streamed(stub, "the key?")

    assert "It is this: ".startswith("".join(each.text_delta for each in events))
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert events[-1].finished.reason == FILTERED
    assert events[-1].finished.usage.output_tokens > 0


async def test_a_turn_that_is_blocked_is_an_error_and_the_conversation_goes_on(
    gateway: Gateway, talk: Talk, upstream: RemoteUpstream
) -> None:
    await talk.turn(user("first"))
    await talk.send(user(f"use {SECRET}"))
    refused = await talk.hear()
    after = await talk.turn(user("second"))
    record = await booked(gateway, f"talk-{gateway.mode}-2")

    assert (refused.turn, reason(refused.error.details)) == (2, "CONTENT_BLOCKED")
    assert SECRET not in str(refused)
    assert text(after) == DEFAULT_TEXT
    assert (await said(upstream))[1:] == [
        [("user", "first"), ("assistant", DEFAULT_TEXT), ("user", "second")]
    ]
    assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_BLOCKED
    assert not record.charges
    assert SECRET not in written_about(gateway)


async def test_what_was_masked_stays_masked_for_the_upstream_in_every_turn(
    talk: Talk, upstream: RemoteUpstream
) -> None:
    await upstream.script("I am", Behaviour(text=f"Hello {EMAIL}!", chunks=7), times=1)
    heard = await talk.turn(user(f"I am {EMAIL}"))
    await talk.turn(user("and?"))

    assert text(heard) == "Hello [EMAIL]!"
    assert (await said(upstream))[1] == [
        ("user", "I am [EMAIL]"),
        ("assistant", "Hello [EMAIL]!"),
        ("user", "and?"),
    ]


async def test_of_a_blocked_answer_stays_what_was_heard(
    talk: Talk, upstream: RemoteUpstream
) -> None:
    long = "one two three " * 10
    await upstream.script("key", Behaviour(text=f"{long}{SECRET}", chunks=30), times=1)
    heard = await talk.turn(user("the key?"))
    await talk.turn(user("well?"))

    assert heard[-1].event.finished.reason == FILTERED
    assert text(heard)
    expected = [("user", "the key?"), ("assistant", text(heard)), ("user", "well?")]
    assert (await said(upstream))[1] == expected


async def test_a_tool_call_that_is_blocked_awaits_no_result(
    talk: Talk, upstream: RemoteUpstream
) -> None:
    arguments = json.dumps({"text": "one two three " * 10, "key": SECRET})
    calls = (ToolCall("send", arguments),)
    await upstream.script("send", Behaviour(tool_calls=calls, chunks=30), times=1)
    heard = await talk.turn(user("send it"))
    after = await talk.turn(user("never mind"))

    assert heard[-1].event.finished.reason == FILTERED
    assert "tool_call_delta" in kinds(heard)
    assert text(after) == DEFAULT_TEXT
    assert (await said(upstream))[1] == [("user", "send it"), ("user", "never mind")]


async def test_the_rest_twin_is_guarded_too(gateway: Gateway, upstream: RemoteUpstream) -> None:
    await upstream.script("whom", Behaviour(text=f"Ask {EMAIL}."))
    path = "/meshgate/v1/chat"
    async with gateway.client() as client:
        bodies = [
            {"model": "guarded", "messages": [{"role": "ROLE_USER", "parts": [{"text": words}]}]}
            for words in (f"I am {EMAIL}; whom?", f"use {SECRET}")
        ]
        masked, blocked = [
            await client.post(path, json=body, timeout=BOUND_SECONDS) for body in bodies
        ]

    assert masked.status_code == 200
    assert "Ask [EMAIL]." in masked.text
    assert await said(upstream) == [[("user", "I am [EMAIL]; whom?")]]
    assert blocked.status_code == 400
    assert SECRET not in blocked.text
