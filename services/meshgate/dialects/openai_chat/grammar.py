"""The grammar of chat completion streams: that of streams of choices, which write messages.

The first chunk of each choice brings the role.
"""

from typing import Literal

from msgspec import Struct

from meshgate.dialects.grammar import GrammarError
from meshgate.dialects.openai_choices.grammar import Choice, ChoiceGrammar, Chunk


class _Delta(Struct):
    role: str | None = None


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
    grammar = ChoiceGrammar(_Chunk, _check_role)
    grammar.feed(stream)
    grammar.close()


def _check_role(choice: _Choice) -> None:
    if choice.delta.role != "assistant":
        raise GrammarError(f"choice {choice.index} begins without the role")
