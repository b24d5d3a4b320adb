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
WORDS = b'{"model":"m","messages":[{"role":"user","content":"hello world"}]}'
SNAPSHOT = Snapshot(
    "r1",
    providers={
        "a": HttpProvider("a", "anthropic", "http://127.0.0.1:1/v1"),
        "b": DemoProvider("b"),
    },
)


@pytest.fixture
async def providers(provider: FakeProvider) -> AsyncIterator[CountingProviders]:
    counter = TokenCounter()
    yield CountingProviders(provider.channel(), counter, lambda: SNAPSHOT)
    await counter.close()


async def attempted(providers: CountingProviders, at: str, dialect: Any) -> Any:
    asked = replace(question(), dialect=dialect, body=WORDS)
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


async def test_what_is_no_count_goes_to_the_upstream(
    providers: CountingProviders, provider: FakeProvider
) -> None:
    provider.at("b", answer(b"{}"))

    await attempted(providers, "b", pb.DIALECT_OPENAI_CHAT)

    assert provider.tried == ["b"]
