"""Requests under guardrails, as clients meet them: on every binding, with fake peers."""

import asyncio
import json
from collections.abc import AsyncIterator

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fake_guardrails import FORBIDDEN, MASK, SECRET, policy
from routing.fakes import (
    HANG,
    FakeAuth,
    FakeProvider,
    answer,
    chunk,
    failing,
    head,
    until,
)
from routing.gateway import BINDINGS, credentials, ending_of
from routing.guarded import (
    Scene,
    completion,
    data_of,
    error_of,
    finishes,
    guarded,
    reported,
    said,
    snapshot,
    streamed,
    text_of,
)
from routing.metering_values import limit

from meshgate.dialects.openai_chat import grammar
from meshgate.dialects.openai_choices.chunks import DONE
from meshgate.v1 import chat_pb2, gateway_service_pb2
from meshgate.v1 import guardrails_service_pb2 as pb
from meshgate.v1 import usage_record_pb2 as records

BLOCKED = records.REQUEST_OUTCOME_BLOCKED


@pytest.fixture(params=BINDINGS)
async def scene(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Scene]:
    async with guarded(request.param, auth, provider) as scene:
        yield scene


class TestRequestsThatGoUp:
    async def test_what_passes_goes_up_byte_for_byte(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(completion("fine")))

        ending = await scene.ask("hi", oddity=1.50)

        assert data_of(ending) == completion("fine")
        sent = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "oddity": 1.50}
        assert provider.requests[0].body == json.dumps(sent).encode()
        (asked, _) = scene.guardrails.items
        assert asked.phase == pb.CHECK_PHASE_INPUT
        assert list(asked.policies) == ["p"]
        assert asked.context.config_revision == "r1"
        assert asked.segments[0].locator == "messages[0].content"

    async def test_what_is_masked_never_reaches_the_upstream(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        provider.at("a", reported("fine"))

        await scene.ask(f"my password is {SECRET}")

        sent = json.loads(provider.requests[0].body)
        assert sent["messages"][0]["content"] == f"my password is {MASK}"
        record = await scene.record()
        (finding,) = record.findings
        assert (finding.policy, finding.rule) == ("p", "secrets/0")
        assert finding.locator == "messages[0].content"
        assert record.outcome == records.REQUEST_OUTCOME_ANSWERED
        assert SECRET.encode() not in record.SerializeToString()

    async def test_what_is_blocked_is_told_in_openais_words_and_reaches_no_upstream(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        ending = await scene.ask(f"how to enrich {FORBIDDEN}")

        assert ending.code is grpc.StatusCode.INVALID_ARGUMENT
        assert ending.trailers["x-meshgate-http-status"] == "400"
        error = error_of(ending)
        assert error["code"] == "content_filter"
        assert error["type"] == "invalid_request_error"
        assert FORBIDDEN not in json.dumps(error)
        assert not provider.requests

    async def test_what_is_blocked_counts_as_a_request_and_costs_nothing(
        self, scene: Scene
    ) -> None:
        await scene.ask(FORBIDDEN)

        record = await scene.record()
        assert record.outcome == BLOCKED
        assert record.attempt_count == 0
        assert not record.charges
        (finding,) = record.findings
        assert finding.action == pb.FINDING_ACTION_BLOCK

    async def test_the_typed_api_says_which_rule_it_was(self, scene: Scene) -> None:
        request = gateway_service_pb2.ChatRequest(model="m")
        request.messages.add(role="ROLE_USER").parts.add(text=FORBIDDEN)

        ending = await ending_of(scene.gateway.typed.Chat(request, **credentials()))

        assert ending.code is grpc.StatusCode.INVALID_ARGUMENT
        details = ending.trailers["grpc-status-details-bin"]
        assert b"ERROR_REASON_CONTENT_BLOCKED" in details
        assert b"phrases/1" in details
        assert FORBIDDEN.encode() not in details

    async def test_a_model_without_policies_asks_nobody(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(completion(SECRET)))

        ending = await scene.ask(SECRET, model="free")

        assert data_of(ending) == completion(SECRET)
        assert not scene.guardrails.items

    async def test_a_policy_without_output_rules_leaves_answers_alone(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.gateway.snapshot = snapshot(policy(phases="input"))
        provider.at("a", streamed(said(SECRET, role="assistant"), said(None, "stop"), DONE))

        ending = await scene.ask("hi", stream=True)

        assert text_of(data_of(ending)) == SECRET
        assert len(scene.guardrails.items) == 1
        assert not scene.guardrails.starts

    async def test_a_fallback_answers_under_the_policies_of_the_model_asked_for(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.gateway.snapshot = snapshot(policy(), fallbacks=("other",))
        provider.at("a", failing("context_window"))
        provider.at("b", answer(completion(SECRET)))

        ending = await scene.ask(SECRET)

        assert json.loads(provider.requests[1].body)["messages"][0]["content"] == MASK
        assert json.loads(data_of(ending))["choices"][0]["message"]["content"] == MASK

    async def test_embeddings_inputs_are_looked_at(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        vectors = b'{"data":[{"index":0,"embedding":[0.5]}],"model":"m","usage":{}}'
        provider.at("a", answer(vectors))
        body = HttpBody(data=json.dumps({"model": "m", "input": [SECRET, "b"]}).encode())

        ending = await ending_of(scene.gateway.openai.Embeddings(body, **credentials()))

        assert data_of(ending) == vectors
        assert json.loads(provider.requests[0].body)["input"] == [MASK, "b"]
        assert len(scene.guardrails.items) == 1


class TestPlainAnswers:
    async def test_what_is_masked_never_reaches_the_client(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        provider.at("a", reported(f"it is {SECRET}"))

        ending = await scene.ask()

        assert json.loads(data_of(ending))["choices"][0]["message"]["content"] == f"it is {MASK}"
        record = await scene.record()
        assert [finding.locator for finding in record.findings] == ["choices[0].message.content"]
        assert record.charges[0].usage.output_tokens == 5

    async def test_a_blocked_answer_is_empty_and_booked_in_full(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        provider.at("a", reported(f"take {FORBIDDEN}"))

        ending = await scene.ask()

        assert ending.code is grpc.StatusCode.OK
        (choice,) = json.loads(data_of(ending))["choices"]
        assert choice["finish_reason"] == "content_filter"
        assert choice["message"]["content"] == ""
        assert FORBIDDEN.encode() not in data_of(ending)
        record = await scene.record()
        assert record.outcome == BLOCKED
        assert record.charges[0].usage.output_tokens == 5

    async def test_a_blocked_typed_answer_is_empty_too(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        response = gateway_service_pb2.ChatResponse(id="a", served_model="m-1")
        response.message.parts.add(text=FORBIDDEN)
        provider.at("a", answer(response.SerializeToString()))
        request = gateway_service_pb2.ChatRequest(model="m")
        request.messages.add(role="ROLE_USER").parts.add(text="hi")

        ending = await ending_of(scene.gateway.typed.Chat(request, **credentials()))

        (shown,) = ending.messages
        assert shown.finish_reason == chat_pb2.FINISH_REASON_CONTENT_FILTER
        assert not shown.message.parts


class TestStreamedAnswers:
    async def test_a_secret_that_is_split_over_chunks_is_masked(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        pieces = [said(letter) for letter in f"it is {SECRET}, keep it"]
        provider.at("a", streamed(said("", role="assistant"), *pieces, said(None, "stop"), DONE))

        ending = await scene.ask(stream=True)

        stream = data_of(ending)
        grammar.check(stream)
        assert text_of(stream) == f"it is {MASK}, keep it"
        record = await scene.record()
        (finding,) = record.findings
        assert finding.locator == "choices[0].delta.content"
        assert record.outcome == records.REQUEST_OUTCOME_ANSWERED

    async def test_a_block_in_the_middle_ends_the_stream_legally(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        chunks = [said("first of all, ", role="assistant"), said(f"take {FORBIDDEN}")]
        provider.at("a", [head(), *map(chunk, chunks), HANG])

        ending = await scene.ask(stream=True)

        assert ending.code is grpc.StatusCode.OK
        stream = data_of(ending)
        grammar.check(stream)
        assert finishes(stream) == ["content_filter"]
        assert "first of all, ".startswith(text_of(stream))
        await until(provider.cancelled.is_set)
        record = await scene.record()
        assert record.outcome == BLOCKED
        assert record.charges[0].estimated
        assert record.charges[0].usage.output_tokens > 4
        assert record.findings[0].rule == "phrases/1"

    async def test_a_block_in_the_first_chunk_still_gives_a_legal_stream(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        first = said(FORBIDDEN, role="assistant") + said(None, "stop") + DONE
        provider.at("a", streamed(first))

        ending = await scene.ask(stream=True)

        grammar.check(data_of(ending))
        assert finishes(data_of(ending)) == ["content_filter"]
        assert text_of(data_of(ending)) == ""

    async def test_an_answer_that_outgrows_its_limit_ends_as_too_long_with_what_was_held_back(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        scene.gateway.snapshot = snapshot(policy(), limits=(limit("tokens", 600),))
        words = [said("word " * 100 + SECRET, role="assistant") for _ in range(50)]
        provider.at("a", [head(), *map(chunk, words), HANG])

        ending = await scene.ask(stream=True)

        stream = data_of(ending)
        grammar.check(stream)
        assert finishes(stream) == ["length"]
        assert text_of(stream).endswith(MASK)
        assert SECRET not in text_of(stream)
        assert (await scene.record()).outcome == records.REQUEST_OUTCOME_LIMITED

    async def test_a_typed_stream_is_masked_and_numbered_without_gaps(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        events = [
            chat_pb2.ChatEvent(started=chat_pb2.ChatStarted(id="a", served_model="m-1")),
            chat_pb2.ChatEvent(text_delta="it is hun"),
            chat_pb2.ChatEvent(text_delta="ter2"),
            chat_pb2.ChatEvent(finished=chat_pb2.ChatFinished(reason="FINISH_REASON_STOP")),
        ]
        for number, event in enumerate(events):
            event.sequence_number = number
        chunks = [chat_pb2.ChatEvents(events=[each]).SerializeToString() for each in events]
        provider.at("a", streamed(*chunks))
        request = gateway_service_pb2.ChatRequest(model="m")
        request.messages.add(role="ROLE_USER").parts.add(text="hi")

        ending = await ending_of(
            scene.gateway.typed.StreamChat(
                gateway_service_pb2.StreamChatRequest(chat=request), **credentials()
            )
        )

        shown = [message.event for message in ending.messages]
        assert "".join(event.text_delta for event in shown) == f"it is {MASK}"
        assert [event.sequence_number for event in shown] == list(range(len(shown)))
        assert shown[-1].finished.reason == chat_pb2.FINISH_REASON_STOP

    @pytest.mark.parametrize("guardrails_hang", [True, False])
    async def test_a_client_that_leaves_ends_the_check_as_well(
        self, scene: Scene, provider: FakeProvider, guardrails_hang: bool
    ) -> None:
        scene.gateway.snapshot = snapshot(policy(phases="output"))
        scene.guardrails.hangs = guardrails_hang
        provider.at("a", [head(), chunk(said("hi", role="assistant")), HANG])
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        call = scene.gateway.openai.ChatCompletions(
            HttpBody(data=json.dumps(body).encode()), **(credentials() | {"timeout": 600})
        )
        reading = asyncio.ensure_future(ending_of(call))
        await until(lambda: scene.guardrails.texts)

        call.cancel()

        await until(lambda: scene.guardrails.streams_ended)
        await until(provider.cancelled.is_set)
        await asyncio.wait([reading])
        assert (await scene.record()).outcome == records.REQUEST_OUTCOME_CANCELLED
