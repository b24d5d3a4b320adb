"""Why an answer ended, in OpenAI's words and in neutral ones."""

from meshgate.dialects.neutral import FinishReason

_READ = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def read_finish_reason(word: str | None) -> FinishReason:
    """Return the reason; UNSPECIFIED for words of an upstream's own."""
    return _READ.get(word or "", FinishReason.UNSPECIFIED)


def write_finish_reason(reason: FinishReason) -> str:
    """Return the word; clients know no "unspecified"."""
    return "stop" if reason is FinishReason.UNSPECIFIED else reason.value
