"""What requests for messages are alike, and which answers to them are worth keeping."""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.anthropic_messages import stop_reason
from meshgate.dialects.anthropic_messages.fields import REFUSED
from meshgate.dialects.canonical import CanonicalRequest, members_of, written
from meshgate.dialects.loose_json import objects
from meshgate.dialects.neutral import FinishReason

# How the answer travels, and what only tells the provider who asked.
_WITHOUT = frozenset({"stream", "metadata"})
# Neither what was refused nor what is to be gone on with.
_KEPT_REASONS = frozenset({"end_turn", "stop_sequence", "max_tokens", "tool_use"})


class _Answer(Struct, gc=False):
    content: list[Raw]
    stop_reason: str | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form.

    Raises:
        NoCanonicalFormError: It has none.
    """
    members = members_of(body)
    kept = {name: value for name, value in members.items() if name not in _WITHOUT}
    is_hosted = any(
        tool.get("type") not in (None, "custom") for tool in objects(members.get("tools"))
    )
    tells_alike = not is_hosted and not any(members.get(name) for name in REFUSED)
    return CanonicalRequest(written(kept), tells_alike=tells_alike)


def good_end(body: bytes) -> FinishReason | None:
    """How a plain answer ended; None if it did not end well, or is a refusal."""
    try:
        answer = _ANSWER.decode(body)
    except UNREADABLE:
        return None
    word = answer.stop_reason
    return stop_reason.read(word) if word in _KEPT_REASONS else None
