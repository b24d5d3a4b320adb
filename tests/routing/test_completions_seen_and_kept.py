"""Completions under guardrails and with a cache, as clients meet them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fake_cache import FakeCache
from routing.fake_guardrails import FORBIDDEN, MASK, SECRET
from routing.fakes import HANG, FakeAuth, FakeProvider, answer, chunk, head, model, until
from routing.fakes import snapshot as models_of
from routing.gateway import BINDINGS, Ending, Gateway, credentials, ending_of, serving
from routing.guarded import Scene, data_of, guarded, streamed

from meshgate.config.snapshot import CachePolicy
from meshgate.dialects import sse
from meshgate.dialects.openai_completions import grammar
from meshgate.v1 import usage_record_pb2 as records

DONE = b"data: [DONE]\n\n"
WHOLE = {"id": "c1", "object": "text_completion", "created": 7, "model": "m-1"}


def choice(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}


def completion(text: str, finish: str = "stop") -> bytes:
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    return json.dumps({**WHOLE, "choices": [choice(text, finish)], "usage": usage}).encode()


def said(text: str, finish: str | None = None) -> bytes:
    return b"data: " + json.dumps({**WHOLE, "choices": [choice(text, finish)]}).encode() + b"\n\n"


def choices_of(stream: bytes) -> list[dict[str, Any]]:
    events = [event.data for event in sse.EventReader().feed(stream)]
    chunks = [json.loads(data) for data in events if data != b"[DONE]"]
    return [each for one in chunks for each in one["choices"]]


def text_of(stream: bytes) -> str:
    return "".join(each["text"] for each in choices_of(stream))


async def ask(gateway: Gateway, prompt: Any = "hi", **members: Any) -> Ending:
    body = HttpBody(data=json.dumps({"model": "m", "prompt": prompt, **members}).encode())
    return await ending_of(gateway.openai.Completions(body, **credentials()))


class TestGuardrails:
    @pytest.fixture(params=BINDINGS)
    async def scene(
        self, request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
    ) -> AsyncIterator[Scene]:
        async with guarded(request.param, auth, provider) as scene:
            yield scene

    async def test_prompts_go_up_masked_and_the_answer_comes_back_masked(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(completion(f"it is {SECRET}")))

        ending = await ask(scene.gateway, ["a", SECRET], suffix=SECRET)

        sent = json.loads(provider.requests[0].body)
        assert (sent["prompt"], sent["suffix"]) == (["a", MASK], MASK)
        assert json.loads(data_of(ending)) == json.loads(completion(f"it is {MASK}"))
        record = await scene.record()
        assert [finding.locator for finding in record.findings] == [
            "prompt[1]",
            "suffix",
            "choices[0].text",
        ]

    async def test_a_prompt_that_is_blocked_goes_nowhere(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        ending = await ask(scene.gateway, FORBIDDEN)

        assert ending.code is grpc.StatusCode.INVALID_ARGUMENT
        assert not provider.requests

    async def test_a_blocked_answer_is_empty(self, scene: Scene, provider: FakeProvider) -> None:
        provider.at("a", answer(completion(f"take {FORBIDDEN}")))

        ending = await ask(scene.gateway)

        assert json.loads(data_of(ending))["choices"] == [choice("", "content_filter")]
        assert (await scene.record()).outcome == records.REQUEST_OUTCOME_BLOCKED

    async def test_a_secret_that_is_split_over_chunks_is_masked(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        letters = [said(letter) for letter in f"it is {SECRET}, keep it"]
        provider.at("a", streamed(*letters, said("", "stop"), DONE))

        ending = await ask(scene.gateway, stream=True)

        stream = data_of(ending)
        grammar.check(stream)
        assert text_of(stream) == f"it is {MASK}, keep it"

    async def test_a_block_in_the_middle_ends_the_stream_legally(
        self, scene: Scene, provider: FakeProvider
    ) -> None:
        chunks = [said("first of all, "), said(f"take {FORBIDDEN}")]
        provider.at("a", [head(), *map(chunk, chunks), HANG])

        ending = await ask(scene.gateway, stream=True)

        stream = data_of(ending)
        grammar.check(stream)
        assert "first of all, ".startswith(text_of(stream))
        assert choices_of(stream)[-1] == choice("", "content_filter")
        await until(provider.cancelled.is_set)
        assert (await scene.record()).outcome == records.REQUEST_OUTCOME_BLOCKED


class TestCache:
    @pytest.fixture(params=BINDINGS)
    async def gateway(
        self, request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
    ) -> AsyncIterator[Gateway]:
        models = models_of(model("m", "a", cache=CachePolicy(ttl_seconds=60.0)))
        async with serving(request.param, models, auth, provider, cache=FakeCache()) as gateway:
            yield gateway

    @pytest.mark.parametrize("prompt", ["hi", ["hi", "ho"], [5, 6]])
    async def test_the_same_prompt_goes_upstream_once(
        self, gateway: Gateway, provider: FakeProvider, prompt: Any
    ) -> None:
        provider.at("a", answer(completion("hello")))

        first, second = await ask(gateway, prompt), await ask(gateway, prompt, user="me")

        assert [each.headers["x-meshgate-cache"] for each in (first, second)] == ["miss", "hit"]
        assert data_of(first) == data_of(second) == completion("hello")
        assert len(provider.requests) == 1

    async def test_a_plain_answer_is_told_again_as_a_stream(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(completion("hello")))
        await ask(gateway)

        ending = await ask(gateway, stream=True)

        assert ending.headers["x-meshgate-cache"] == "hit"
        grammar.check(data_of(ending))
        assert text_of(data_of(ending)) == "hello"

    async def test_a_streamed_answer_is_told_again_plain(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", streamed(said("hel"), said("lo"), said("", "length"), DONE))
        await ask(gateway, stream=True)

        ending = await ask(gateway)

        assert ending.headers["x-meshgate-cache"] == "hit"
        assert json.loads(data_of(ending))["choices"] == [choice("hello", "length")]

    async def test_a_stream_of_several_prompts_passes_the_cache_by(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", streamed(said("hello", "stop"), DONE))

        ending = await ask(gateway, ["hi", "ho"], stream=True)

        assert ending.headers["x-meshgate-cache"] == "bypass"

    async def test_an_answer_that_a_filter_cut_is_not_kept(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(completion("hel", "content_filter")))

        await ask(gateway)
        ending = await ask(gateway)

        assert ending.headers["x-meshgate-cache"] == "miss"
