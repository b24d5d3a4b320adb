"""Conversations through the public port, in every shape of the gateway."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from gateway_process import ADMIN_KEY, KEY, Gateway, running_gateway
from mesh.administration import Admin
from mesh.waiting import until
from routing.gateway import credentials
from routing.talking import (
    CANCEL,
    FINISH,
    Talk,
    failure_of,
    kinds,
    message,
    reason,
    results,
    start,
    text,
    user,
)
from upstream import Behaviour, Cut, Endless, Hang, RemoteUpstream, ToolCall
from upstream.behaviours import DEFAULT_TEXT

from meshgate.v1 import chat_pb2
from meshgate.v1 import gateway_service_pb2 as pb
from meshgate.v1.gateway_service_pb2_grpc import GatewayServiceStub

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 30
MODEL = "one-try"
SYSTEM = message(chat_pb2.ROLE_SYSTEM, "be brief")


@asynccontextmanager
async def talking(gateway: Gateway, key: str = KEY, *, first: Any = None) -> AsyncIterator[Talk]:
    """A conversation that has begun, on a connection of its own."""
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        # What a client takes in without reading it must not be as much as a conversation may hold.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 64 * 1024),
    ]
    async with grpc.aio.insecure_channel(gateway.grpc_target, options=options) as channel:
        talk = Talk(GatewayServiceStub(channel), credentials(key))
        await talk.send(*([start(MODEL, SYSTEM)] if first is None else first))
        yield talk
        talk.call.cancel()


@pytest.fixture
async def talk(gateway: Gateway) -> AsyncIterator[Talk]:
    async with talking(gateway) as talk:
        yield talk


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[Admin]:
    async with gateway.client(ADMIN_KEY) as client:
        yield Admin(client)


def said(request: Any) -> list[tuple[str, Any]]:
    return [(each["role"], each.get("content")) for each in request.body["messages"]]


async def test_the_server_remembers_what_was_said(talk: Talk, upstream: RemoteUpstream) -> None:
    first = await talk.turn(user("one"))
    second = await talk.turn(user("two"))
    await talk.send(FINISH)

    assert text(first) == text(second) == DEFAULT_TEXT
    assert {each.turn for each in second} == {2}
    assert await talk.rest() == []
    assert await talk.call.code() is grpc.StatusCode.OK
    [_, request] = await upstream.requests()
    assert said(request) == [
        ("system", "be brief"),
        ("user", "one"),
        ("assistant", DEFAULT_TEXT),
        ("user", "two"),
    ]


async def test_tools_are_called_and_answered(gateway: Gateway, upstream: RemoteUpstream) -> None:
    call = ToolCall(name="clock", arguments='{"zone": "UTC"}')
    await upstream.script("the time", Behaviour(tool_calls=(call,)), times=1)
    clock = chat_pb2.Tool(name="clock", parameters_json=b'{"type":"object"}')
    async with talking(gateway, first=[start(MODEL, tools=[clock])]) as talk:
        heard = await talk.turn(user("the time?"))
        [call_id] = [
            each.event.tool_call_delta.id for each in heard if each.event.tool_call_delta.id
        ]
        await talk.send(user("never mind"))
        refused = await talk.hear()

        answered = await talk.turn(results(call_id))

    assert reason(refused) == "FAILED_PRECONDITION"
    assert text(answered) == DEFAULT_TEXT
    request = (await upstream.requests())[1]
    [called] = request.body["messages"][1]["tool_calls"]
    assert called["function"] == {"name": "clock", "arguments": call.arguments}
    assert request.body["messages"][2] == {
        "role": "tool",
        "tool_call_id": call_id,
        "content": "noon",
    }


async def test_cancelling_stops_the_upstream_and_keeps_what_was_said(
    talk: Talk, upstream: RemoteUpstream
) -> None:
    hanging = Behaviour(text="one two three four", fault=Hang("event", after_events=3))
    await upstream.script("long", hanging, times=1)
    await talk.send(user("long"))
    await talk.hear_until("text_delta")
    await talk.hear_until("text_delta")

    await talk.send(CANCEL)
    heard = await talk.hear_until("cancelled")

    assert heard[-1].cancelled.answer_kept
    assert (await upstream.ending()).outcome == "client_gone"
    await talk.turn(user("and?"))
    messages = said((await upstream.requests())[1])
    assert messages[1] == ("user", "long")
    assert messages[2][0] == "assistant"
    assert "one two three four".startswith(messages[2][1])
    assert messages[3] == ("user", "and?")


async def test_a_turn_that_breaks_ends_nothing_else(talk: Talk, upstream: RemoteUpstream) -> None:
    await upstream.script("broken", Behaviour(fault=Cut(after_events=2)), times=1)
    await talk.send(user("broken"))

    heard = await talk.hear_until("error")

    assert (heard[-1].turn, reason(heard[-1])) == (1, "UPSTREAM_FAILED")
    assert text(await talk.turn(user("again"))) == DEFAULT_TEXT
    assert said((await upstream.requests())[1]) == [("system", "be brief"), ("user", "again")]


async def test_leaving_cancels_the_upstream(talk: Talk, upstream: RemoteUpstream) -> None:
    await upstream.script("long", Behaviour(fault=Hang("event", after_events=3)))
    await talk.send(user("long"))
    await talk.hear_until("text_delta")

    talk.call.cancel()

    assert (await upstream.ending()).outcome == "client_gone"


async def test_a_client_who_does_not_read_holds_up_his_own_upstream_only(
    gateway: Gateway, upstream: RemoteUpstream
) -> None:
    await upstream.script("flood", Behaviour(text="x" * 20_000, fault=Endless()))

    async def stalled() -> bool:
        return any(request.stalls for request in await upstream.requests())

    async with talking(gateway) as slow, talking(gateway) as fast:
        await slow.send(user("flood"))
        await slow.hear()
        await until(stalled)

        assert text(await fast.turn(user("hello"))) == DEFAULT_TEXT
        assert (await upstream.requests())[0].outcome == "open"


async def test_each_turn_is_admitted_by_itself(gateway: Gateway, admin: Admin) -> None:
    total = {
        "kind": "LIMIT_KIND_REQUESTS",
        "amount": "2",
        "unit": "WINDOW_UNIT_TOTAL",
        "enforcement": "ENFORCEMENT_STRICT",
    }
    _, key = await admin.key(total)
    async with talking(gateway, key) as talk:
        first = await talk.turn(user())
        second = await talk.turn(user())
        await talk.send(user())
        refused = await talk.hear()

    assert kinds(first)[0] == kinds(second)[0] == "limits"
    [standing] = second[0].limits.standings
    assert (standing.kind, standing.amount, standing.remaining) == ("requests", 2, 0)
    assert (refused.turn, reason(refused)) == (3, "LIMIT_EXCEEDED")


async def test_a_key_that_is_revoked_ends_the_conversation(gateway: Gateway, admin: Admin) -> None:
    key_id, key = await admin.key()
    async with talking(gateway, key) as talk:
        await talk.turn(user())
        await admin.revoke(key_id)

        async def answered_for_ever() -> bool:
            await talk.turn(user())
            return False

        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await until(answered_for_ever)

    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_what_cannot_begin_fails_with_a_status(gateway: Gateway) -> None:
    nothing: list[pb.ConverseRequest] = []
    async with (
        talking(gateway, "wrong", first=nothing) as stranger,
        talking(gateway, first=[user()]) as hasty,
    ):
        refused, malformed = await failure_of(stranger), await failure_of(hasty)

    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert malformed.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("options", [[], ["--compact"]], ids=["mesh", "compact"])
async def test_a_stop_lets_the_turn_end_and_says_so(
    tmp_path: Path, upstream_origin: str, upstream: RemoteUpstream, options: list[str]
) -> None:
    await upstream.script("slow", Behaviour(chunks=20, event_delay_seconds=0.1))
    with running_gateway(tmp_path / "stopping", upstream_origin, *options) as gateway:
        async with talking(gateway) as talk, talking(gateway) as resting:
            await resting.turn(user())
            await talk.send(user("slow"))
            first = await talk.hear()

            gateway.process.send_signal(signal.SIGTERM)
            rest = await talk.rest()
            closed = await resting.rest()

        assert text([first, *rest]) == DEFAULT_TEXT
        assert kinds(rest[-2:]) == ["finished", "closing"]
        assert kinds(closed) == ["closing"]
        assert closed[0].closing.reason == pb.CONVERSATION_CLOSING_REASON_DRAINING
        assert await asyncio.to_thread(gateway.process.wait, BOUND_SECONDS) == 0
