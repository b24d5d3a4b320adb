"""Why an answer ended, in Anthropic's words and in neutral ones."""

from meshgate.dialects.neutral import FinishReason

_READ = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
_WRITTEN = {
    FinishReason.UNSPECIFIED: "end_turn",
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}
_ENDS = frozenset({FinishReason.UNSPECIFIED, FinishReason.STOP})


def read(word: str | None) -> FinishReason:
    """The reason; UNSPECIFIED for what has none, such as a turn that a hosted tool has paused."""
    return _READ.get(word or "", FinishReason.UNSPECIFIED)


def write(
    reason: FinishReason, stop_sequence: str = "", *, calls: bool = False, refuses: bool = False
) -> str:
    """The word.

    Args:
        reason: Why it ended.
        stop_sequence: What ended it, if that did.
        calls: Whether tools are called: some upstreams say "stop" then, and clients go by the word.
        refuses: Whether it is a refusal, which Anthropic tells by this word alone.
    """
    if reason in _ENDS:
        if refuses:
            return "refusal"
        if calls:
            return "tool_use"
        if stop_sequence:
            return "stop_sequence"
    return _WRITTEN[reason]
