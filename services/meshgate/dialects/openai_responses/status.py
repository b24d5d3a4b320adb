"""How a response ended, in its own words and in neutral ones."""

from collections.abc import Iterable

from meshgate.dialects.neutral import FinishReason

COMPLETED = "completed"
INCOMPLETE = "incomplete"
CALLS = frozenset({"function_call", "custom_tool_call"})

_REASONS = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_WORDS = {reason: word for word, reason in _REASONS.items()}


def read(status: str | None, reason: str | None, item_types: Iterable[str]) -> FinishReason:
    """Why the answer ended; UNSPECIFIED for states of an upstream's own.

    One that is incomplete for a reason of its own is cut as well, and must not look whole.
    """
    if status == INCOMPLETE:
        return _REASONS.get(reason or "", FinishReason.LENGTH)
    if status not in (None, COMPLETED):
        return FinishReason.UNSPECIFIED
    return FinishReason.STOP if CALLS.isdisjoint(item_types) else FinishReason.TOOL_CALLS


def incomplete_reason(reason: FinishReason) -> str | None:
    """Why a response is incomplete; None if it is complete."""
    return _WORDS.get(reason)
