"""What completions are alike, and which answers to them are worth keeping."""

from typing import Any

import msgspec

from meshgate.dialects.canonical import CanonicalRequest
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_choices import keeping
from meshgate.dialects.openai_choices.keeping import Answer, Choice, asks_for_none
from meshgate.dialects.openai_completions.fields import INEXPRESSIBLE

# Neither what a filter has cut nor what ended in a way that nobody knows.
_KEPT_REASONS = frozenset({"stop", "length"})


class _Choice(Choice, kw_only=True, gc=False):
    text: str


_COMPLETION = msgspec.json.Decoder(Answer[_Choice])


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form.

    Raises:
        NoCanonicalFormError: It has none.
    """
    return keeping.canonical(body, _tells_alike)


def good_end(body: bytes) -> FinishReason | None:
    """How a plain answer ended; None if one of its choices did not end well."""
    return keeping.good_end(body, _COMPLETION, _is_good)


def _is_good(choice: _Choice) -> bool:
    return choice.finish_reason in _KEPT_REASONS


def _tells_alike(members: dict[str, Any]) -> bool:
    """Whether one choice is asked for, and nothing that the neutral form cannot hold."""
    return _has_one_prompt(members.get("prompt")) and asks_for_none(members, INEXPRESSIBLE)


def _has_one_prompt(prompt: object) -> bool:
    """Whether it is none, a text, the tokens of one, or a list of one of these."""
    if not isinstance(prompt, list):
        return True
    return len(prompt) == 1 or all(isinstance(item, int) for item in prompt)
