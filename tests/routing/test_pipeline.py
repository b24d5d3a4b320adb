"""What becomes of the work behind a request when its client leaves, or time or a service fails."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fakes import (
    BOUND_SECONDS,
    HANG,
    FakeAuth,
    FakeProvider,
    answer,
    chunk,
    done,
    failing,
    head,
    model,
    snapshot,
    until,
)
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving

from meshgate.config.snapshot import Retries, Timeouts
from meshgate.routing.attempts import Attempts
from meshgate.runtime.errors import (
    RevisionBehindError,
    ServiceUnavailableError,
    UnsupportedError,
)
from meshgate.v1 import provider_service_pb2

FIRST = b"data: {}\n\n"


class Pauses:
    """Pauses between attempts that never end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def sleep(self, _seconds: float) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider, pauses: Pauses
) -> AsyncIterator[Gateway]:
    attempts = Attempts(pauses.sleep)
    models = snapshot(model("m", "a", "b"))
    async with serving(request.param, models, auth, provider, attempts) as gateway:
        yield gateway


def body(*, stream: bool = False) -> HttpBody:
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return HttpBody(data=json.dumps(asked).encode())


def status_of(ending: Any) -> int:
    return int(ending.trailers["x-meshgate-http-status"])


async def happened(event: asyncio.Event) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        await event.wait()


async def leave(call: Any) -> None:
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call.code()


class TestClientsThatLeave:
    @pytest.mark.parametrize(("stream", "script"), [(False, HANG), (True, [HANG])])
    async def test_before_the_first_byte_the_attempt_is_cancelled(
        self, gateway: Gateway, provider: FakeProvider, stream: bool, script: Any
    ) -> None:
        provider.at("a", script)
        call = gateway.openai.ChatCompletions(body(stream=stream), **credentials())
        reading = asyncio.ensure_future(anext(aiter(call), None))
        await happened(provider.entered)

        await leave(call)

        await happened(provider.cancelled)
        assert provider.tried == ["a"]
        await asyncio.wait([reading])

    async def test_in_the_middle_of_a_stream_the_attempt_is_cancelled(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", [head(), chunk(FIRST), HANG])
        call = gateway.openai.ChatCompletions(body(stream=True), **credentials())
        first = await anext(aiter(call))

        await leave(call)

        assert first.data == FIRST
        await happened(provider.cancelled)

    async def test_between_two_attempts_there_is_no_other(
        self, gateway: Gateway, provider: FakeProvider, pauses: Pauses
    ) -> None:
        gateway.snapshot = snapshot(model("m", "a", retries=Retries(backoff_initial_seconds=1.0)))
        provider.at("a", failing("connection"))
        call = gateway.openai.ChatCompletions(body(), **credentials())
        reading = asyncio.ensure_future(anext(aiter(call), None))
        await happened(pauses.begun)

        await leave(call)

        await happened(pauses.ended)
        assert provider.tried == ["a"]
        await asyncio.wait([reading])

    async def test_the_next_client_is_served(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", HANG, answer(b"{}"))
        call = gateway.openai.ChatCompletions(body(), **credentials())
        reading = asyncio.ensure_future(anext(aiter(call), None))
        await happened(provider.entered)
        await leave(call)
        await asyncio.wait([reading])

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert ending.code is grpc.StatusCode.OK


class TestDeadlines:
    @pytest.mark.parametrize(("stream", "script"), [(False, HANG), (True, [HANG])])
    async def test_a_provider_that_hangs_is_given_up_at_the_clients_timeout(
        self, gateway: Gateway, provider: FakeProvider, stream: bool, script: Any
    ) -> None:
        provider.at("a", script)
        provider.at("b", script)
        wanted = credentials(x_meshgate_timeout="300ms")

        ending = await ending_of(gateway.openai.ChatCompletions(body(stream=stream), **wanted))

        assert status_of(ending) == 504
        assert ending.code is grpc.StatusCode.DEADLINE_EXCEEDED
        await happened(provider.cancelled)
        assert provider.tried == ["a"]

    async def test_a_stream_that_stalls_ends_with_an_event_at_the_clients_timeout(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", [head(), chunk(FIRST), HANG])
        wanted = credentials(x_meshgate_timeout="500ms")

        ending = await ending_of(gateway.openai.ChatCompletions(body(stream=True), **wanted))

        assert ending.messages[0].data == FIRST
        assert b'"error"' in ending.messages[1].data
        assert ending.code is grpc.StatusCode.DEADLINE_EXCEEDED
        await happened(provider.cancelled)

    async def test_a_grpc_deadline_ends_the_attempt(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", HANG)
        wanted = credentials() | {"timeout": 0.5}

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **wanted))

        assert ending.code is grpc.StatusCode.DEADLINE_EXCEEDED
        await happened(provider.cancelled)

    async def test_the_models_total_bounds_all_attempts_together(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        gateway.snapshot = snapshot(
            model("m", "a", "b", timeouts=Timeouts(total_seconds=0.3), fallbacks=("n",)),
            model("n", "c"),
        )
        provider.at("a", HANG)

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert status_of(ending) == 504
        assert provider.tried == ["a"]

    async def test_attempts_know_the_time_that_is_left_and_the_phases_of_their_model(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        timeouts = Timeouts(connect_seconds=1, first_token_seconds=2, between_tokens_seconds=3)
        gateway.snapshot = snapshot(model("m", "a", timeouts=timeouts), revision="rev-9")
        provider.at("a", answer(b"{}"))
        wanted = credentials(x_meshgate_timeout="9s", x_request_id="r-7")

        await ending_of(gateway.openai.ChatCompletions(body(), **wanted))

        asked = provider.requests[0]
        assert 8 < asked.context.timeout.ToNanoseconds() / 1e9 <= 9
        assert (asked.context.request_id, asked.context.principal_id) == ("r-7", "alice")
        assert asked.context.config_revision == "rev-9"
        phases = asked.timeouts
        assert (phases.connect.seconds, phases.first_token.seconds) == (1, 2)
        assert (phases.between_tokens.seconds, phases.total.seconds) == (3, 600)
        assert asked.target.model == "m-at-a"
        assert asked.dialect == provider_service_pb2.DIALECT_OPENAI_CHAT


class TestServicesThatFail:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_provider_service_that_is_down_is_unavailable(
        self, gateway: Gateway, provider: FakeProvider, stream: bool
    ) -> None:
        away = ServiceUnavailableError("away", service="provider")
        for name in "ab":
            provider.at(name, [away] if stream else away)

        ending = await ending_of(
            gateway.openai.ChatCompletions(body(stream=stream), **credentials())
        )

        assert status_of(ending) == 503
        assert ending.trailers["retry-after"] == "1"
        assert len(provider.tried) == 3

    async def test_another_instance_may_answer(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", ServiceUnavailableError("away"))
        provider.at("b", answer(b"{}"))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert ending.code is grpc.StatusCode.OK

    async def test_a_provider_service_that_is_behind_says_when_to_come_back(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        behind = RevisionBehindError("it does not know the provider a", service="provider")
        provider.at("a", behind)
        provider.at("b", behind)

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert status_of(ending) == 503
        assert ending.trailers["retry-after"] == "1"

    async def test_what_one_target_cannot_express_another_may(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", UnsupportedError("no audio", field="messages[0]"))
        provider.at("b", answer(b"{}"))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert ending.code is grpc.StatusCode.OK

    async def test_what_no_target_can_express_is_refused_by_field(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", UnsupportedError("no audio", field="messages[0]"))
        provider.at("b", UnsupportedError("no audio", field="messages[0]"))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert status_of(ending) == 400
        assert json.loads(ending.trailers["x-meshgate-error"])["error"]["param"] == "messages[0]"

    async def test_an_answer_without_an_outcome_is_none(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", provider_service_pb2.ExecuteResponse())
        provider.at("b", answer(b"{}"))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert [message.data for message in ending.messages] == [b"{}"]

    async def test_a_kind_of_failure_that_is_not_known_yet_is_a_failure(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        newer = failing("connection")
        newer.failure.kind = 99
        provider.at("a", newer)

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert status_of(ending) == 502

    async def test_auth_that_is_down_lets_nobody_in(
        self, gateway: Gateway, auth: FakeAuth, provider: FakeProvider
    ) -> None:
        auth.failure = ServiceUnavailableError("away")

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert status_of(ending) == 503
        assert provider.requests == []

    async def test_auth_that_hangs_keeps_nobody_past_their_timeout(
        self, gateway: Gateway, auth: FakeAuth
    ) -> None:
        auth.open.clear()
        wanted = credentials(x_meshgate_timeout="50ms")

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **wanted))

        assert status_of(ending) == 504
        auth.open.set()


async def test_an_end_that_does_not_come_after_a_whole_answer_is_not_waited_for(
    gateway: Gateway, provider: FakeProvider
) -> None:
    provider.at("a", [head(), chunk(FIRST), done(), HANG])

    ending = await ending_of(gateway.openai.ChatCompletions(body(stream=True), **credentials()))

    assert ending.code is grpc.StatusCode.OK
    await happened(provider.cancelled)


async def test_a_failure_that_goes_on_is_cut_off(gateway: Gateway, provider: FakeProvider) -> None:
    failed = provider_service_pb2.StreamExecuteResponse(failure=failing("connection").failure)
    provider.at("a", [failed, HANG])
    provider.at("b", [head(), chunk(FIRST), done()])

    ending = await ending_of(gateway.openai.ChatCompletions(body(stream=True), **credentials()))

    assert [message.data for message in ending.messages] == [FIRST]
    await happened(provider.cancelled)


async def test_a_configuration_holds_for_the_whole_of_a_request(
    gateway: Gateway, provider: FakeProvider
) -> None:
    go_on = asyncio.Event()
    provider.at("a", [go_on, head(), chunk(FIRST), done()])
    call = gateway.openai.ChatCompletions(body(stream=True), **credentials())
    reading = asyncio.ensure_future(ending_of(call))
    await until(lambda: provider.requests)

    gateway.snapshot = snapshot(revision="r2")
    go_on.set()

    assert (await reading).code is grpc.StatusCode.OK
