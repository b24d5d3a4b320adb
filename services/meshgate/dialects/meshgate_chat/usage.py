"""Usage and finish reasons, between protobuf and the neutral form."""

from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.v1 import chat_pb2, usage_pb2

_REASONS = {
    chat_pb2.FINISH_REASON_UNSPECIFIED: FinishReason.UNSPECIFIED,
    chat_pb2.FINISH_REASON_STOP: FinishReason.STOP,
    chat_pb2.FINISH_REASON_LENGTH: FinishReason.LENGTH,
    chat_pb2.FINISH_REASON_TOOL_CALLS: FinishReason.TOOL_CALLS,
    chat_pb2.FINISH_REASON_CONTENT_FILTER: FinishReason.CONTENT_FILTER,
}
_RARE = (
    "long_cache_creation_input_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
    "images",
    "input_audio_seconds",
    "input_characters",
    "search_units",
)
_REASON_VALUES = {reason: value for value, reason in _REASONS.items()}


def read_usage(usage: usage_pb2.Usage) -> Usage:
    """Read a usage."""
    return Usage(
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_creation_input_tokens=usage.cache_creation_input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        long_cache_creation_input_tokens=usage.long_cache_creation_input_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        input_image_tokens=usage.input_image_tokens,
        output_image_tokens=usage.output_image_tokens,
        images=usage.images,
        input_audio_seconds=usage.input_audio_seconds,
        input_characters=usage.input_characters,
        search_units=usage.search_units,
        service_tier=usage.service_tier,
    )


def write_usage(usage: Usage | None) -> usage_pb2.Usage | None:
    """Write a usage; None stays None, which protobuf takes for an absent message."""
    if usage is None:
        return None
    message = usage_pb2.Usage()
    set_usage(message, usage)
    return message


def set_usage(message: usage_pb2.Usage, usage: Usage) -> None:
    """Write a usage into a message that is empty."""
    message.input_tokens = usage.input_tokens
    message.output_tokens = usage.output_tokens
    if usage.cached_input_tokens:
        message.cached_input_tokens = usage.cached_input_tokens
    if usage.cache_creation_input_tokens:
        message.cache_creation_input_tokens = usage.cache_creation_input_tokens
    if usage.reasoning_tokens:
        message.reasoning_tokens = usage.reasoning_tokens
    if usage.service_tier:
        message.service_tier = usage.service_tier
    for name in _RARE:
        if tokens := getattr(usage, name):
            setattr(message, name, tokens)


def read_finish_reason(value: chat_pb2.FinishReason.ValueType) -> FinishReason:
    """Read a finish reason; one of a newer contract is UNSPECIFIED here."""
    return _REASONS.get(value, FinishReason.UNSPECIFIED)


def write_finish_reason(reason: FinishReason) -> chat_pb2.FinishReason.ValueType:
    """Write a finish reason."""
    return _REASON_VALUES[reason]
