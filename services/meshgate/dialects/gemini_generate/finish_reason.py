"""Why an answer ended, in Google's words and in neutral ones."""

from meshgate.dialects.neutral import FinishReason

_READ = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
}
_WORDS = {
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.CONTENT_FILTER: "SAFETY",
}
FAILED = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"}
)
"""The model wrote what its own provider could not understand."""


def read_finish_reason(word: str | None, *, has_calls: bool = False) -> FinishReason:
    """The reason; Google says STOP of calls too. UNSPECIFIED for all that is no usual end."""
    reason = _READ.get(word or "", FinishReason.UNSPECIFIED)
    return FinishReason.TOOL_CALLS if has_calls and reason is FinishReason.STOP else reason


def write_finish_reason(reason: FinishReason, *, refuses: bool = False) -> str:
    """The word for callers. Google has none for a model that refuses, but one for what it must not say."""
    word = _WORDS.get(reason, "STOP")
    return "SAFETY" if refuses and word == "STOP" else word
