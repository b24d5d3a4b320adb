"""How answers of each dialect are kept for equal requests, and told again, streamed or plain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meshgate.dialects.answers import AnswerError
from meshgate.dialects.anthropic_messages import keeping as anthropic_messages
from meshgate.dialects.anthropic_messages.dialect import DIALECT as ANTHROPIC_MESSAGES
from meshgate.dialects.canonical import CanonicalRequest
from meshgate.dialects.chat_dialect import RetoldDialect
from meshgate.dialects.gemini_embeddings import keeping as gemini_embeddings
from meshgate.dialects.gemini_generate import keeping as gemini_generate
from meshgate.dialects.gemini_generate.dialect import DIALECT as GEMINI_GENERATE
from meshgate.dialects.meshgate_chat import keeping as meshgate_chat
from meshgate.dialects.meshgate_chat.dialect import DIALECT as MESHGATE_CHAT
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_chat import keeping as openai_chat
from meshgate.dialects.openai_chat.dialect import DIALECT as OPENAI_CHAT
from meshgate.dialects.openai_completions import keeping as openai_completions
from meshgate.dialects.openai_completions.dialect import DIALECT as OPENAI_COMPLETIONS
from meshgate.dialects.openai_embeddings import inputs, vectors
from meshgate.dialects.openai_embeddings import keeping as openai_embeddings
from meshgate.dialects.openai_responses import keeping as openai_responses
from meshgate.dialects.openai_responses.dialect import DIALECT as OPENAI_RESPONSES
from meshgate.dialects.pieces import AnswerPiece
from meshgate.dialects.retelling import Collector, events_of
from meshgate.runtime.errors import GatewayError


class KeptStream:
    """Listens to a stream, to keep it as a plain answer.

    Args:
        chat: Its dialect.
        created: Seconds since 1970.
        limit_bytes: The most text that is kept.
    """

    def __init__(self, chat: RetoldDialect, created: int, limit_bytes: int) -> None:
        self._chat = chat
        self._created = created
        self._collector = Collector(chat.stream_reader(), limit_bytes)

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk that goes to the caller: whole events."""
        self._collector.take(chunk)

    def body(self, usage: Usage | None) -> bytes | None:
        """The plain answer, whole; None where there is none to be kept."""
        response = self._collector.response(usage)
        if response is None:
            return None
        try:
            return self._chat.write_response(response, created=self._created)
        except GatewayError:
            return None  # it says what a plain answer cannot


@dataclass(frozen=True)
class Piecewise:
    """How answers are taken to pieces, each of which is an answer, and put together of such.

    Attributes:
        narrowed: A request for some of the pieces only, by their positions. Raises InvalidRequestError.
        read: The pieces of an answer to so many, in order; None for one that does not fit.
        write: An answer of these pieces, which consumed so much, where that is known.
    """

    narrowed: Callable[[bytes, Sequence[int]], bytes]
    read: Callable[[bytes, int], list[AnswerPiece] | None]
    write: Callable[[Sequence[AnswerPiece], Usage | None], bytes]


@dataclass(frozen=True)
class Keeping:
    """The keeping of one dialect.

    Attributes:
        canonical: A request in its one form. Raises NoCanonicalFormError.
        good_end: How a plain answer ended; None if it is not to be given to anybody else.
        chat: Tells streams, where there are any.
        piecewise: How answers are kept piece by piece, where the requests have pieces.
    """

    canonical: Callable[[bytes], CanonicalRequest]
    good_end: Callable[[bytes], FinishReason | None]
    chat: RetoldDialect | None = None
    piecewise: Piecewise | None = None

    def listen(self, created: int, limit_bytes: int) -> KeptStream | None:
        """Begin to listen to a stream; None where there are none."""
        return None if self.chat is None else KeptStream(self.chat, created, limit_bytes)

    def streamed(self, body: bytes, created: int, *, include_usage: bool) -> bytes | None:
        """The events that tell a plain answer, all of them; None where it cannot be told so."""
        if self.chat is None:
            return None
        writer = self.chat.stream_writer(created=created, include_usage=include_usage)
        try:
            return writer.write(events_of(self.chat.read_response(body)))
        except (AnswerError, GatewayError):
            return None


def keeping(dialect: str) -> Keeping | None:
    """How a dialect's answers are kept; None for one whose answers are not."""
    return _KEEPINGS.get(dialect)


_KEEPINGS = {
    "anthropic_messages": Keeping(
        anthropic_messages.canonical, anthropic_messages.good_end, ANTHROPIC_MESSAGES
    ),
    "openai_chat": Keeping(openai_chat.canonical, openai_chat.good_end, OPENAI_CHAT),
    "openai_completions": Keeping(
        openai_completions.canonical, openai_completions.good_end, OPENAI_COMPLETIONS
    ),
    "openai_responses": Keeping(
        openai_responses.canonical, openai_responses.good_end, OPENAI_RESPONSES
    ),
    "meshgate_chat": Keeping(meshgate_chat.canonical, meshgate_chat.good_end, MESHGATE_CHAT),
    "openai_embeddings": Keeping(
        openai_embeddings.canonical,
        openai_embeddings.good_end,
        piecewise=Piecewise(inputs.narrowed, vectors.read, vectors.write),
    ),
    "gemini_generate": Keeping(
        gemini_generate.canonical, gemini_generate.good_end, GEMINI_GENERATE
    ),
    "gemini_embeddings": Keeping(gemini_embeddings.canonical, gemini_embeddings.good_end),
}
