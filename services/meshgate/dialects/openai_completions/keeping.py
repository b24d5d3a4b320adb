"""What completions are alike, and which answers to them are worth keeping."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from meshgate.dialects.canonical import CanonicalRequest, members_of, written
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_chat.finish_reason import read_finish_reason
from meshgate.dialects.openai_completions.fields import INEXPRESSIBLE

# How the answer travels, and what only tells the provider who asked.
_WITHOUT = frozenset({"stream", "stream_options", "user", "metadata"})
# Neither what a filter has cut nor what ended in a way that nobody knows.
_KEPT_REASONS = frozenset({"stop", "length"})


class _Choice(Struct, gc=False):
    text: str
    finish_reason: str | None = None


class _Completion(Struct, gc=False):
    choices: Annotated[list[_Choice], Meta(min_length=1)]


_COMPLETION = msgspec.json.Decoder(_Completion)


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form.

    Raises:
        NoCanonicalFormError: It has none.
    """
    members = members_of(body)
    kept = {name: value for name, value in members.items() if name not in _WITHOUT}
    return CanonicalRequest(written(kept), tells_alike=_tells_alike(members))


def good_end(body: bytes) -> FinishReason | None:
    """How a plain answer ended; None if one of its choices did not end well."""
    try:
        choices = _COMPLETION.decode(body).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if all(choice.finish_reason in _KEPT_REASONS for choice in choices):
        return read_finish_reason(choices[0].finish_reason)
    return None


def _tells_alike(members: dict[str, Any]) -> bool:
    """Whether one choice is asked for, and nothing that the neutral form cannot hold."""
    return _has_one_prompt(members.get("prompt")) and all(
        members.get(name) is None or written(members[name]) in harmless
        for name, harmless in INEXPRESSIBLE.items()
    )


def _has_one_prompt(prompt: object) -> bool:
    """Whether it is none, a text, the tokens of one, or a list of one of these."""
    if not isinstance(prompt, list):
        return True
    return len(prompt) == 1 or all(isinstance(item, int) for item in prompt)
