"""What chat completions are alike, and which answers to them are worth keeping."""

from typing import Any

import msgspec
from msgspec import Struct

from meshgate.dialects.canonical import CanonicalRequest
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_chat.fields import INEXPRESSIBLE
from meshgate.dialects.openai_choices import keeping
from meshgate.dialects.openai_choices.keeping import Answer, Choice, asks_for_none

# Neither what a filter has cut nor what ended in a way that nobody knows.
_KEPT_REASONS = frozenset({"stop", "length", "tool_calls", "function_call"})


class _Message(Struct, gc=False):
    refusal: str | None = None


class _Choice(Choice, kw_only=True, gc=False):
    message: _Message


_COMPLETION = msgspec.json.Decoder(Answer[_Choice])


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form.

    Raises:
        NoCanonicalFormError: It has none.
    """
    return keeping.canonical(body, _tells_alike)


def good_end(body: bytes) -> FinishReason | None:
    """How a plain answer ended; None if one of its choices did not end well, or is a refusal."""
    return keeping.good_end(body, _COMPLETION, _is_good)


def _is_good(choice: _Choice) -> bool:
    return choice.finish_reason in _KEPT_REASONS and not choice.message.refusal


def _tells_alike(members: dict[str, Any]) -> bool:
    """Whether nothing is asked for that the neutral form, by way of which it is told, cannot hold."""
    return asks_for_none(members, INEXPRESSIBLE)
