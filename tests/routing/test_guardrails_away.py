"""What becomes of requests and answers that guardrails cannot look at, on every binding."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from routing.fake_guardrails import SECRET, FakeGuardrails, policy
from routing.fakes import (
    HANG,
    FakeAuth,
    FakeProvider,
    answer,
    chunk,
    head,
    key_of,
    until,
)
from routing.gateway import BINDINGS, credentials, ending_of, serving
from routing.guarded import (
    Scene,
    completion,
    data_of,
    error_of,
    guarded,
    reported,
    said,
    snapshot,
    streamed,
    text_of,
)

from meshgate.dialects.openai_chat import grammar
from meshgate.dialects.openai_choices.chunks import DONE
from meshgate.runtime.errors import RevisionBehindError, ServiceUnavailableError
from meshgate.v1 import usage_record_pb2 as records


@pytest.fixture(params=BINDINGS)
async def scene(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Scene]:
    async with guarded(request.param, auth, provider) as scene:
        yield scene


class TestGuardrailsThatAreAway:
    @pytest.fixture(params=["away", "behind", "broken"])
    def away(self, request: pytest.FixtureRequest, scene: Scene) -> None:
        service = scene.guardrails
        match request.param:
            case "away":
                service.failure = ServiceUnavailableError("away")
                service.fails_after = 0
            case "behind":
                service.refusal = RevisionBehindError("old", service="guardrails")
                service.failure = None
                service.fails_after = 0
            case "broken":
                service.failure = RevisionBehindError("broken")
                service.fails_after = 0

    @pytest.mark.usefixtures("away")
    async def test_requests_are_refused_where_they_may_not_pass_unseen(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        ending = await scene.ask()

        assert ending.code is grpc.StatusCode.UNAVAILABLE
        assert ending.trailers["x-meshgate-http-status"] == "503"
        assert ending.trailers["retry-after"] == "1"
        assert "guardrails" in error_of(ending)["message"]
        assert not provider.requests

    @pytest.mark.usefixtures("away")
    async def test_requests_pass_unseen_where_every_policy_says_so(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.gateway.snapshot = snapshot(
            policy("p", on_error="open"), policy("q", on_error="open")
        )
        provider.at("a", answer(completion(SECRET)))

        ending = await scene.ask(SECRET)

        assert data_of(ending) == completion(SECRET)

    @pytest.mark.usefixtures("away")
    async def test_one_policy_that_fails_closed_is_enough(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.gateway.snapshot = snapshot(policy("p"), policy("q", on_error="open"))

        assert (await scene.ask()).code is grpc.StatusCode.UNAVAILABLE
        assert not provider.requests

    @pytest.mark.usefixtures("away")
    async def test_an_answer_that_nobody_can_look_at_is_not_shown_but_booked(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.gateway.snapshot = snapshot(policy(phases="output"))
        provider.at("a", reported("hi"))

        ending = await scene.ask()

        assert ending.code is grpc.StatusCode.UNAVAILABLE
        assert not ending.messages
        record = await scene.record()
        assert record.outcome == records.REQUEST_OUTCOME_FAILED
        assert record.charges[0].usage.output_tokens == 5

    @pytest.mark.usefixtures("away")
    async def test_a_stream_that_nobody_can_look_at_ends_with_an_error(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.gateway.snapshot = snapshot(policy(phases="output"))
        provider.at("a", [head(), chunk(said("", role="assistant")), chunk(said("hi")), HANG])

        ending = await scene.ask(stream=True)

        assert ending.code is grpc.StatusCode.UNAVAILABLE
        assert text_of(data_of(ending).partition(b'data: {"error"')[0]) == ""
        assert b'"service_unavailable"' in data_of(ending)
        await until(provider.cancelled.is_set)
        record = await scene.record()
        assert record.outcome == records.REQUEST_OUTCOME_FAILED
        assert record.charges[0].usage.output_tokens > 0

    async def test_a_stream_goes_on_unseen_with_what_was_held_back(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.gateway.snapshot = snapshot(policy(on_error="open"))
        scene.guardrails.fails_after = 1
        words = ["hello my dear ", "friend, ", "bye"]
        provider.at(
            "a",
            streamed(said("", role="assistant"), *map(said, words), said(None, "stop"), DONE),
        )

        ending = await scene.ask(stream=True)

        grammar.check(data_of(ending))
        assert text_of(data_of(ending)) == "".join(words)

    async def test_a_stream_of_which_something_was_masked_ends_even_so(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.gateway.snapshot = snapshot(policy(on_error="open"))
        scene.guardrails.fails_after = 1
        words = [f"it is {SECRET}, and more", " to come"]
        provider.at("a", [head(), *(chunk(said(word, role="assistant")) for word in words), HANG])

        ending = await scene.ask(stream=True)

        assert ending.code is grpc.StatusCode.UNAVAILABLE
        assert SECRET.encode() not in data_of(ending)

    async def test_a_client_that_leaves_meanwhile_costs_nothing(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.guardrails.hangs = True
        asking = asyncio.ensure_future(scene.ask())
        await until(lambda: scene.guardrails.items)

        asking.cancel()
        await asyncio.wait([asking])

        assert not provider.requests


@pytest.mark.parametrize("on_error", ["closed", "open"])
async def test_a_mesh_without_guardrails_fails_as_its_policies_say(
    on_error: str, auth: FakeAuth, provider: FakeProvider
) -> None:
    scene = Scene()
    provider.at("a", streamed(said("hi", role="assistant"), said(None, "stop"), DONE))
    policies = snapshot(policy(on_error=on_error))
    async with serving("compact", policies, auth, provider) as scene.gateway:
        ending = await scene.ask(stream=True)

    if on_error == "closed":
        assert ending.code is grpc.StatusCode.UNAVAILABLE
    else:
        assert text_of(data_of(ending)) == "hi"


@pytest.mark.parametrize(("on_error", "is_ready"), [("closed", False), ("open", True)])
async def test_readiness_names_guardrails_where_they_are_needed_and_missing(
    on_error: str, is_ready: bool, auth: FakeAuth, provider: FakeProvider
) -> None:
    policies = snapshot(policy(on_error=on_error))
    async with serving("compact", policies, auth, provider) as gateway:
        ending = await ending_of(gateway.status.GetReadiness({}))

    assert (ending.code is grpc.StatusCode.OK) is is_ready
    assert is_ready or "guardrails" in ending.message


async def test_status_tells_of_guardrails(auth: FakeAuth, provider: FakeProvider) -> None:
    auth.found["mg-x"] = key_of("x")
    service = FakeGuardrails()
    async with serving("mesh", snapshot(policy()), auth, provider, guardrails=service) as gateway:
        ready = await ending_of(gateway.status.GetReadiness({}))
        status = await gateway.status.GetStatus({}, **credentials("mg-admin"))

    assert ready.code is grpc.StatusCode.OK
    assert "guardrails" in [each.service for each in status.services]
