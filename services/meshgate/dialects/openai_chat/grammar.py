"""The grammar of chat completion streams: that of streams of choices, which write messages.

The first chunk of each choice brings the role. When a choice has finished, its tool calls are numbered
from 0 without gaps; the first fragment of each brings its id, unlike all others, and its name, and
no other does.
"""

from collections import defaultdict
from typing import Literal

from msgspec import Struct

from meshgate.dialects.grammar import GrammarError
from meshgate.dialects.openai_choices.grammar import Choice, ChoiceGrammar, Chunk


class _Called(Struct):
    name: str | None = None


class _Call(Struct):
    index: int
    id: str | None = None
    function: _Called | None = None
    custom: _Called | None = None

    @property
    def name(self) -> str | None:
        called = self.function or self.custom
        return None if called is None else called.name


class _Delta(Struct):
    role: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Choice, kw_only=True):
    delta: _Delta
    finish_reason: (
        Literal["stop", "length", "tool_calls", "content_filter", "function_call"] | None
    ) = None


class _Chunk(Chunk[_Choice], kw_only=True):
    object: Literal["chat.completion.chunk"]


def check(stream: bytes) -> None:
    """Check a whole stream.

    Raises:
        GrammarError: It breaks the grammar.
    """
    grammar = ChoiceGrammar(_Chunk, _check_role, _Calls().check)
    grammar.feed(stream)
    grammar.close()


def _check_role(choice: _Choice) -> None:
    if choice.delta.role != "assistant":
        raise GrammarError(f"choice {choice.index} begins without the role")


class _Calls:
    """Checks the tool calls of all choices."""

    def __init__(self) -> None:
        self._ids: defaultdict[int, dict[int, str]] = defaultdict(dict)

    def check(self, choice: _Choice) -> None:
        ids = self._ids[choice.index]
        for call in choice.delta.tool_calls or ():
            _check_call(call, ids)
        if choice.finish_reason is not None and sorted(ids) != list(range(len(ids))):
            raise GrammarError(f"the tool calls are numbered {sorted(ids)}")


def _check_call(call: _Call, ids: dict[int, str]) -> None:
    if call.index in ids:
        if call.id or call.name:
            raise GrammarError(f"tool call {call.index} is named twice")
        return
    if not (call.id and call.name) or call.id in ids.values():
        raise GrammarError(f"tool call {call.index} begins without an id and a name of its own")
    ids[call.index] = call.id
