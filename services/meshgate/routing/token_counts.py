"""Counts of tokens, asked of upstreams that can count, and counted here for the others."""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from meshgate.config.snapshot import Snapshot, Target
from meshgate.dialects.anthropic_messages import token_count as anthropic_token_count
from meshgate.dialects.gemini_generate import token_count as gemini_token_count
from meshgate.dialects.metering import meter
from meshgate.dialects.neutral import Usage
from meshgate.routing.failure import Failure
from meshgate.routing.peers.provider import PlainAnswer, Providers
from meshgate.routing.planning import Plan
from meshgate.routing.question import DIALECT_NAMES, Question
from meshgate.tokens.counting import TokenCounter, chat_overhead_tokens
from meshgate.v1 import provider_service_pb2 as pb


class Count(Struct, frozen=True):
    """A dialect that asks for a count.

    Attributes:
        kinds: The kinds of providers that can count.
        write: Writes the answer of a number of input tokens.
    """

    kinds: frozenset[str]
    write: Callable[[int], bytes]


_COUNTS = {
    pb.DIALECT_ANTHROPIC_TOKEN_COUNT: Count(frozenset({"anthropic"}), anthropic_token_count.write),
    pb.DIALECT_GEMINI_TOKEN_COUNT: Count(frozenset({"gemini"}), gemini_token_count.write_answer),
}


class CountingProviders(Providers):
    """Makes attempts as Providers does; counts here what a target cannot count.

    A count that is made here is an estimate: of the tokens of the texts in the encoding that fits the
    target's model best, with flat numbers for pictures and documents.

    Args:
        channel: To provider.
        counter: Counts tokens.
        snapshot: The configuration, as it is now.
    """

    def __init__(
        self, channel: Any, counter: TokenCounter, snapshot: Callable[[], Snapshot]
    ) -> None:
        super().__init__(channel)
        self._counter = counter
        self._snapshot = snapshot

    async def execute(
        self, question: Question, plan: Plan, target: Target
    ) -> PlainAnswer | Failure:
        """One attempt at a plain answer."""
        count = _COUNTS.get(question.dialect)
        if count is None or self._kind_of(target) in count.kinds:
            return await super().execute(question, plan, target)
        tokens = await self._count(question, target.model)
        return PlainAnswer(count.write(tokens), (), Usage(), target.model)

    def _kind_of(self, target: Target) -> str:
        provider = self._snapshot().providers.get(target.provider)
        return "" if provider is None else provider.kind

    async def _count(self, question: Question, model: str) -> int:
        dialect = meter(DIALECT_NAMES[question.dialect])
        said = await asyncio.to_thread(dialect.countable_text, question.body)
        tokens = await self._counter.count(said.texts, model) + said.other_tokens
        return tokens + chat_overhead_tokens(said.message_count)
