"""The grammar of streams of choices: what a client of OpenAI's API may rely on.

- every event is one chunk of JSON, an error, or `[DONE]`;
- all chunks carry the same id and model;
- nothing follows the finish reason of a choice;
- usage stands only in the last chunk, which may be without choices;
- `[DONE]` comes once, as the last, when all choices have finished; or else an error does.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.grammar import GrammarError
from meshgate.dialects.sse_grammar import SseGrammar


class Choice(Struct, kw_only=True):
    """What a chunk says of one choice."""

    index: int
    finish_reason: str | None = None


T = TypeVar("T")
C = TypeVar("C", bound=Choice)


class Chunk(Struct, Generic[C], kw_only=True):
    """What every chunk has; a dialect adds what it calls itself."""

    id: str
    model: str
    choices: list[C]
    created: int
    usage: dict[str, Raw] | None = None


class _Error(Struct):
    message: str
    type: str


class _ErrorEvent(Struct):
    error: _Error | UnsetType | None = UNSET


def _nothing(_choice: object) -> None: ...


class ChoiceGrammar(SseGrammar, Generic[C]):
    """Checks one stream, as bytes, wherever it is split.

    Args:
        chunk: The dialect's chunks.
        check_first: Checks what a choice says first; raises GrammarError.
        check_each: Checks all that choices say, in order; raises GrammarError.
    """

    end = "[DONE]"

    def __init__(
        self,
        chunk: type[Chunk[C]],
        check_first: Callable[[C], None] = _nothing,
        check_each: Callable[[C], None] = _nothing,
    ) -> None:
        super().__init__()
        self._chunk = chunk
        self._check_first = check_first
        self._check_each = check_each
        self._identity: tuple[str, str] | None = None
        self._running: set[int] = set()
        self._finished: set[int] = set()
        self._usage_seen = False

    def _check(self, event: sse.Event) -> None:
        if event.data == b"[DONE]":
            self._check_all_finished("[DONE]")
            self._ended = True
        elif _decoded(event.data, _ErrorEvent).error:
            self._ended = True
        else:
            self._check_chunk(_decoded(event.data, self._chunk))

    def _check_chunk(self, chunk: Chunk[C]) -> None:
        if self._identity not in {None, (chunk.id, chunk.model)}:
            raise GrammarError("id or model changed within the stream")
        self._identity = (chunk.id, chunk.model)
        if self._usage_seen:
            raise GrammarError("a chunk after the one with the usage")
        for choice in chunk.choices:
            self._check_choice(choice)
        if chunk.usage is not None:
            self._usage_seen = True
            self._check_all_finished("usage")

    def _check_choice(self, choice: C) -> None:
        if choice.index in self._finished:
            raise GrammarError(f"choice {choice.index} goes on after its finish reason")
        if choice.index not in self._running:
            self._check_first(choice)
            self._running.add(choice.index)
        self._check_each(choice)
        if choice.finish_reason is not None:
            self._running.discard(choice.index)
            self._finished.add(choice.index)

    def _check_all_finished(self, what: str) -> None:
        if self._running or not self._finished:
            raise GrammarError(f"{what} before all choices have finished")


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise GrammarError(f"an event is neither a chunk nor an error: {error}") from error
