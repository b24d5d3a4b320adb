"""Usage that no upstream reported: counted here, or estimated where it cannot be counted."""

import asyncio
import math
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from meshgate.dialects.metering import Meter as DialectMeter
from meshgate.dialects.neutral import Usage
from meshgate.routing.question import Question
from meshgate.tokens.counting import TokenCounter, chat_overhead_tokens
from meshgate.tokens.estimating import BYTES_PER_TOKEN, Estimator


class Written(Struct, frozen=True):
    """What an upstream wrote.

    Attributes:
        texts: What there is of it, for a tokenizer.
        size_bytes: How long all of it is, in UTF-8.
        kept_bytes: How much of that `texts` holds.
    """

    texts: Callable[[], Sequence[str]] = list
    size_bytes: int = 0
    kept_bytes: int = 0

    @property
    def estimated_tokens(self) -> int:
        """From the length alone."""
        return math.ceil(self.size_bytes / BYTES_PER_TOKEN)


NOTHING_WRITTEN = Written()


class UsageCounter:
    """Counts usage.

    Args:
        counter: Counts the tokens of texts.
        estimator: Knows how long requests are.
    """

    def __init__(self, counter: TokenCounter, estimator: Estimator) -> None:
        self._counter = counter
        self._estimator = estimator

    async def counted(
        self, question: Question, dialect: DialectMeter, model: str, written: Written
    ) -> Usage:
        """The tokens of a question and of its answer, in the encoding of an upstream's model."""
        said = await asyncio.to_thread(dialect.countable_text, question.body)
        read = await self._counter.count(said.texts, model) + said.other_tokens
        if said.message_count:
            read += chat_overhead_tokens(said.message_count)
        usage = Usage(input_tokens=read, output_tokens=await self._tokens_of(written, model))
        return _with_asked(usage, question.head.asked)

    def estimated(self, question: Question, written: Written = NOTHING_WRITTEN) -> Usage:
        """From lengths alone; at once, and never fails."""
        read = self._estimator.input_tokens(question.head.model, len(question.body))
        usage = Usage(input_tokens=read, output_tokens=written.estimated_tokens)
        return _with_asked(usage, question.head.asked)

    async def _tokens_of(self, written: Written, model: str) -> int:
        if written.size_bytes and not written.kept_bytes:
            return written.estimated_tokens
        tokens = await self._counter.count(await asyncio.to_thread(written.texts), model)
        if written.kept_bytes < written.size_bytes:
            # What was kept stands for the rest.
            return math.ceil(tokens * written.size_bytes / written.kept_bytes)
        return tokens


def _with_asked(usage: Usage, asked: Usage | None) -> Usage:
    """What was counted, and what the request says will be consumed besides."""
    if asked is None:
        return usage
    return replace(
        asked,
        input_tokens=usage.input_tokens + asked.input_tokens,
        output_tokens=usage.output_tokens + asked.output_tokens,
    )
