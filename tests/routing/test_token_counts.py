"""Counts of tokens: asked of targets that can count, and made here for the others."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from routing.fakes import FakeProvider, answer, model, question

from meshgate.config.snapshot import DemoProvider, HttpProvider, Snapshot
from meshgate.dialects.neutral import Usage
from meshgate.routing.planning import Plan
from meshgate.routing.token_counts import CountingProviders
from meshgate.tokens.counting import TokenCounter
from meshgate.v1 import provider_service_pb2 as pb

COUNT = pb.DIALECT_ANTHROPIC_TOKEN_COUNT
GEMINI_COUNT = pb.DIALECT_GEMINI_TOKEN_COUNT
WORDS = b'{"model":"m","messages":[{"role":"user","content":"hello world"}]}'
CONTENTS = b'{"model":"m","contents":[{"role":"user","parts":[{"text":"hello world"}]}]}'
SNAPSHOT = Snapshot(
    "r1",
    providers={
        "a": HttpProvider("a", "anthropic", "http://127.0.0.1:1/v1"),
        "b": DemoProvider("b"),
        "g": HttpProvider("g", "gemini", "http://127.0.0.1:1/v1beta"),
    },
)


@pytest.fixture
async def providers(provider: FakeProvider) -> AsyncIterator[CountingProviders]:
    counter = TokenCounter()
    yield CountingProviders(provider.channel(), counter, lambda: SNAPSHOT)
    await counter.close()


async def attempted(
    providers: CountingProviders, at: str, dialect: Any, body: bytes = WORDS
) -> Any:
    asked = replace(question(), dialect=dialect, body=body)
    chosen = model("m", at)
    return await providers.execute(asked, Plan(chosen, chosen.targets), chosen.targets[0])


async def test_an_upstream_is_asked_that_can_count(
    providers: CountingProviders, provider: FakeProvider
) -> None:
    provider.at("a", answer(b'{"input_tokens":7}'))

    answered = await attempted(providers, "a", COUNT)

    assert answered.body == b'{"input_tokens":7}'
    assert provider.tried == ["a"]


async def test_for_any_other_it_is_counted_here_and_uses_nothing(
    providers: CountingProviders, provider: FakeProvider
) -> None:
    answered = await attempted(providers, "b", COUNT)

    assert json.loads(answered.body) == {"input_tokens": 2 + 3 + 3}
    assert answered.usage == Usage()
    assert provider.tried == []


async def test_geminis_callers_are_told_a_count_by_whoever_can(
    providers: CountingProviders, provider: FakeProvider
) -> None:
    provider.at("g", answer(b'{"totalTokens":7}'))

    asked = await attempted(providers, "g", GEMINI_COUNT, CONTENTS)
    counted = await attempted(providers, "a", GEMINI_COUNT, CONTENTS)

    assert asked.body == b'{"totalTokens":7}'
    assert json.loads(counted.body) == {"totalTokens": 2 + 3 + 3}
    assert counted.usage == Usage()
    assert provider.tried == ["g"]


async def test_what_is_no_count_goes_to_the_upstream(
    providers: CountingProviders, provider: FakeProvider
) -> None:
    provider.at("b", answer(b"{}"))

    await attempted(providers, "b", pb.DIALECT_OPENAI_CHAT)

    assert provider.tried == ["b"]
