"""Why an answer ended, in Cohere's words."""

from meshgate.dialects.neutral import FinishReason

_READ = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
}
FAILED = {"ERROR": "server_error", "TIMEOUT": "timeout"}
"""What is said of an answer that came to nothing, and the words for it elsewhere."""


def read_finish_reason(word: str | None) -> FinishReason:
    """The reason; UNSPECIFIED for words that nobody knows."""
    return _READ.get(word or "", FinishReason.UNSPECIFIED)
