"""The grammar of completion streams: that of streams of choices, which write texts."""

from typing import Literal

from meshgate.dialects.openai_choices.grammar import Choice, ChoiceGrammar, Chunk


class _Choice(Choice, kw_only=True):
    text: str
    finish_reason: Literal["stop", "length", "content_filter"] | None = None


class _Chunk(Chunk[_Choice], kw_only=True):
    object: Literal["text_completion"]


def check(stream: bytes) -> None:
    """Check a whole stream.

    Raises:
        GrammarError: It breaks the grammar.
    """
    grammar = ChoiceGrammar(_Chunk)
    grammar.feed(stream)
    grammar.close()
