"""Why an answer ended, in Converse's words."""

from meshgate.dialects.neutral import FinishReason

_READ = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
}


def read_finish_reason(word: str | None) -> FinishReason:
    """The reason; UNSPECIFIED for others, such as an output of the model's that was malformed."""
    return _READ.get(word or "", FinishReason.UNSPECIFIED)
