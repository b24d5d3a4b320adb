"""Conversations, as clients hold them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from routing.fake_quota import FakeQuota
from routing.fakes import (
    BOUND_SECONDS,
    HANG,
    FakeAuth,
    FakeProvider,
    broken,
    key_of,
    model,
    snapshot,
    until,
)
from routing.gateway import BINDINGS, Gateway, client_channel, credentials, serving
from routing.talking import (
    CALL,
    CALLED,
    CANCEL,
    FINISH,
    STARTED,
    Talk,
    asked,
    beginning,
    failure_of,
    kinds,
    message,
    reason,
    results,
    saying,
    start,
    telling,
    text,
    user,
)

from meshgate.dialects.neutral import ReasoningDelta, TextDelta
from meshgate.routing.conversation import Bounds
from meshgate.v1 import chat_pb2
from meshgate.v1 import gateway_service_pb2 as pb

MODELS = snapshot(model("m", "a"), model("n", "b"))


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider, quota: FakeQuota
) -> AsyncIterator[Gateway]:
    async with serving(request.param, MODELS, auth, provider, quota=quota) as gateway:
        yield gateway


@pytest.fixture
def quota() -> FakeQuota:
    return FakeQuota()


@pytest.fixture
async def talk(gateway: Gateway) -> AsyncIterator[Talk]:
    """A conversation that has begun."""
    talk = Talk(gateway.typed)
    await talk.send(start("m", message(chat_pb2.ROLE_SYSTEM, "be brief")))
    yield talk
    talk.call.cancel()


class TestTurns:
    async def test_each_turn_is_asked_with_all_that_was_said(
        self, talk: Talk, provider: FakeProvider
    ) -> None:
        provider.at("a", saying("Hel", "lo"), saying("again"))

        first = await talk.turn(user("one"))
        second = await talk.turn(user("two"))

        assert [each.turn for each in first] == [1] * 4
        assert [each.event.sequence_number for each in first] == [0, 1, 2, 3]
        assert kinds(first) == ["started", "text_delta", "text_delta", "finished"]
        assert {each.turn for each in second} == {2}
        assert asked(provider.requests[1]) == [
            ("system", "be brief"),
            ("user", "one"),
            ("assistant", "Hello"),
            ("user", "two"),
        ]

    async def test_thoughts_and_tool_calls_stay_and_results_go_on(
        self, talk: Talk, provider: FakeProvider
    ) -> None:
        thinking = telling(STARTED, ReasoningDelta("hm"), TextDelta("well"), CALL, CALLED)
        provider.at("a", thinking, saying("it is noon"))
        await talk.turn(user("the time?"))

        heard = await talk.turn(results("c1"))

        assert text(heard) == "it is noon"
        assert asked(provider.requests[1])[2:] == [
            ("assistant", "reasoning"),
            ("assistant", "well"),
            ("assistant", "call clock"),
            ("tool", "result noon"),
        ]

    async def test_tools_and_parameters_hold_for_every_turn(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", saying("x"))
        talk = Talk(gateway.typed)
        await talk.send(start("m", tools=[chat_pb2.Tool(name="clock")], temperature=0.25))

        await talk.turn(user())
        await talk.turn(user())

        chats = [pb.ChatRequest.FromString(request.body) for request in provider.requests]
        assert [chat.tools[0].name for chat in chats] == ["clock"] * 2
        assert [chat.temperature for chat in chats] == [0.25] * 2

    async def test_each_turn_is_booked_by_itself(
        self, talk: Talk, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("a", saying("x"))

        await talk.turn(user())
        await talk.turn(user())

        await until(lambda: len(quota.records) == 2)
        assert [request.context.request_id for request in provider.requests] == ["-1", "-2"]

    @pytest.mark.parametrize("ending", [FINISH, None])
    async def test_the_turn_in_progress_ends_before_the_stream(
        self, talk: Talk, provider: FakeProvider, ending: Any
    ) -> None:
        go_on = asyncio.Event()
        provider.at("a", [*saying("x")[:2], go_on, *saying("x")[2:]])
        await talk.send(user())
        await talk.hear()

        await (talk.send(ending) if ending else talk.call.done_writing())
        go_on.set()

        assert kinds(await talk.rest()) == ["text_delta", "finished"]
        assert await talk.call.code() is grpc.StatusCode.OK


class TestBeginning:
    async def test_a_bad_key_is_told_before_anything_is_said(self, gateway: Gateway) -> None:
        talk = Talk(gateway.typed, credentials("wrong"))

        error = await failure_of(talk)

        assert error.code() is grpc.StatusCode.UNAUTHENTICATED

    @pytest.mark.parametrize(
        ("first", "code"),
        [
            (user(), "INVALID_ARGUMENT"),
            (pb.ConverseRequest(), "INVALID_ARGUMENT"),
            (start(""), "INVALID_ARGUMENT"),
            (start("m", extra_json=b"["), "INVALID_ARGUMENT"),
            (start("x"), "NOT_FOUND"),
            (start("n"), "PERMISSION_DENIED"),
            (start("m", message(chat_pb2.ROLE_USER, "x" * 101)), "OUT_OF_RANGE"),
        ],
    )
    async def test_it_must_be_with_a_start_that_can_be_answered(
        self, auth: FakeAuth, provider: FakeProvider, first: Any, code: str
    ) -> None:
        auth.found["small"] = key_of("small", ["m"])
        bounds = Bounds(size_bytes=100)
        async with serving("mesh", MODELS, auth, provider, bounds=bounds) as gateway:
            talk = Talk(gateway.typed, credentials("small"))
            await talk.send(first)

            error = await failure_of(talk)

        assert error.code() is grpc.StatusCode[code]
        assert provider.requests == []

    async def test_what_is_no_message_at_all_ends_it(self, gateway: Gateway) -> None:
        async with client_channel(gateway.port) as channel:
            call = channel.stream_stream("/meshgate.v1.GatewayService/Converse")(**credentials())
            await call.write(start().SerializeToString())
            await call.write(b"\xff")

            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call.read()

        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    async def test_a_drain_waits_for_nobody_who_has_said_nothing(self, gateway: Gateway) -> None:
        talk = Talk(gateway.typed)
        gateway.conversations.drain()

        error = await failure_of(talk)

        assert error.code() is grpc.StatusCode.UNAVAILABLE

    async def test_who_says_nothing_is_not_waited_for(
        self, auth: FakeAuth, provider: FakeProvider
    ) -> None:
        async with serving("mesh", MODELS, auth, provider, idle_seconds=0.01) as gateway:
            error = await failure_of(Talk(gateway.typed))

        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


class TestErrors:
    async def test_a_turn_that_fails_ends_nothing_and_leaves_no_trace(
        self, talk: Talk, provider: FakeProvider
    ) -> None:
        half = [*beginning(STARTED, TextDelta("Hel")), broken("connection")]
        provider.at("a", [broken("invalid_request")], half, saying("Hello"))
        await talk.send(user("one"))
        refused = await talk.hear()
        await talk.send(user("two"))
        cut = await talk.hear_until("error")

        await talk.turn(user("three"))

        assert (refused.turn, reason(refused)) == (1, "UPSTREAM_REFUSED")
        assert kinds(cut) == ["started", "text_delta", "error"]
        assert (cut[-1].turn, reason(cut[-1])) == (2, "UPSTREAM_FAILED")
        assert asked(provider.requests[2]) == [("system", "be brief"), ("user", "three")]

    @pytest.mark.parametrize(
        ("wrong", "expected"),
        [
            (results("c1"), "FAILED_PRECONDITION"),
            (start(), "FAILED_PRECONDITION"),
            (pb.ConverseRequest(), "INVALID_REQUEST"),
            (pb.ConverseRequest(user={}), "INVALID_REQUEST"),
            (pb.ConverseRequest(user={"parts": [{}]}), "INVALID_REQUEST"),
        ],
    )
    async def test_a_message_that_is_refused_belongs_to_no_turn(
        self, talk: Talk, provider: FakeProvider, wrong: Any, expected: str
    ) -> None:
        provider.at("a", saying("x"))
        await talk.send(wrong)

        heard = await talk.hear()

        assert (heard.turn, reason(heard)) == (0, expected)
        assert {each.turn for each in await talk.turn(user())} == {1}

    async def test_who_interrupts_an_answer_is_refused_and_the_answer_goes_on(
        self, talk: Talk, provider: FakeProvider
    ) -> None:
        go_on = asyncio.Event()
        provider.at("a", [*saying("x")[:2], go_on, *saying("x")[2:]])
        await talk.send(user())
        await talk.hear()
        await talk.send(user("and"))

        refused = await talk.hear()
        go_on.set()

        assert (refused.turn, reason(refused)) == (0, "FAILED_PRECONDITION")
        assert kinds(await talk.hear_until("finished")) == ["text_delta", "finished"]

    async def test_a_full_conversation_says_so(
        self, auth: FakeAuth, provider: FakeProvider
    ) -> None:
        provider.at("a", saying("x"))
        async with serving("mesh", MODELS, auth, provider, bounds=Bounds(turns=1)) as gateway:
            talk = Talk(gateway.typed)
            await talk.send(start())
            await talk.turn(user())
            await talk.send(user())

            refused = await talk.hear()

        assert (refused.turn, reason(refused)) == (0, "REQUEST_TOO_LARGE")

    async def test_an_answer_that_grows_too_long_is_given_up(
        self, auth: FakeAuth, provider: FakeProvider
    ) -> None:
        provider.at("a", [*beginning(STARTED, TextDelta("x" * 101)), HANG])
        bounds = Bounds(size_bytes=100)
        async with serving("mesh", MODELS, auth, provider, bounds=bounds) as gateway:
            talk = Talk(gateway.typed)
            await talk.send(start(), user())

            heard = await talk.hear_until("error")

            assert (heard[-1].turn, reason(heard[-1])) == (1, "REQUEST_TOO_LARGE")
            async with asyncio.timeout(BOUND_SECONDS):
                await provider.cancelled.wait()

    async def test_a_turn_has_its_own_time(self, gateway: Gateway, provider: FakeProvider) -> None:
        provider.at("a", [HANG])
        talk = Talk(gateway.typed, credentials(x_meshgate_timeout="500ms"))
        await talk.send(start(), user())

        heard = await talk.hear()

        assert heard.turn == 1
        assert reason(heard) in {"DEADLINE_EXCEEDED", "UPSTREAM_TIMEOUT"}
        provider.at("a", saying("x"))
        await talk.turn(user())


class TestCancel:
    async def test_the_answer_stops_and_what_was_said_stays(
        self, talk: Talk, provider: FakeProvider
    ) -> None:
        half = beginning(STARTED, ReasoningDelta("hm"), TextDelta("Hel"), CALL)
        provider.at("a", [*half, HANG], saying("x"))
        await talk.send(user("one"))
        await talk.hear_until("tool_call_delta")

        await talk.send(CANCEL)
        heard = await talk.hear()

        assert (heard.turn, heard.cancelled.answer_kept) == (1, True)
        async with asyncio.timeout(BOUND_SECONDS):
            await provider.cancelled.wait()
        await talk.turn(user("two"))
        assert asked(provider.requests[1])[1:] == [
            ("user", "one"),
            ("assistant", "Hel"),
            ("user", "two"),
        ]

    async def test_a_question_that_nobody_has_answered_yet_stays(
        self, talk: Talk, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("a", [HANG], saying("x"))
        await talk.send(user("one"))
        async with asyncio.timeout(BOUND_SECONDS):
            await provider.entered.wait()

        await talk.send(CANCEL)
        heard = await talk.hear()
        await talk.turn(user("two"))

        assert (heard.turn, heard.cancelled.answer_kept) == (1, False)
        assert asked(provider.requests[1])[1:] == [("user", "one"), ("user", "two")]
        await until(lambda: len(quota.records) == 2)

    async def test_with_no_answer_in_progress_nothing_happens(
        self, talk: Talk, provider: FakeProvider
    ) -> None:
        provider.at("a", saying("x"))

        await talk.send(CANCEL)

        assert kinds(await talk.turn(user())) == ["started", "text_delta", "finished"]


class TestEnds:
    async def test_leaving_cancels_the_answer_and_it_is_booked(
        self, talk: Talk, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("a", [*beginning(STARTED, TextDelta("Hel")), HANG])
        await talk.send(user())
        await talk.hear_until("text_delta")

        talk.call.cancel()

        async with asyncio.timeout(BOUND_SECONDS):
            await provider.cancelled.wait()
        await until(lambda: len(quota.records) == 1)

    async def test_a_conversation_that_rests_too_long_is_closed(
        self, auth: FakeAuth, provider: FakeProvider
    ) -> None:
        async with serving("mesh", MODELS, auth, provider, idle_seconds=0.05) as gateway:
            talk = Talk(gateway.typed)
            await talk.send(start())

            [heard] = await talk.rest()

        assert heard.closing.reason == pb.CONVERSATION_CLOSING_REASON_IDLE

    async def test_a_drain_lets_the_turn_end_and_closes(
        self, gateway: Gateway, talk: Talk, provider: FakeProvider
    ) -> None:
        go_on = asyncio.Event()
        provider.at("a", [*saying("x")[:2], go_on, *saying("x")[2:]])
        resting = Talk(gateway.typed)
        await resting.send(start())
        await resting.call.initial_metadata()  # it has begun
        await talk.send(user())
        await talk.hear()

        gateway.conversations.drain()
        closed = await resting.rest()
        go_on.set()
        ended = await talk.rest()

        assert [each.closing.reason for each in closed] == [pb.CONVERSATION_CLOSING_REASON_DRAINING]
        assert kinds(ended) == ["text_delta", "finished", "closing"]
        assert ended[-1].closing.reason == pb.CONVERSATION_CLOSING_REASON_DRAINING
