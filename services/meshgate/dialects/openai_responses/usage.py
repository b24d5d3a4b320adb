"""The usage object of responses, to and from the neutral one."""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.counts import LARGEST_COUNT, Count, read_counts
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api import service_tier as tier_member
from meshgate.dialects.openai_api.usage_details import InputDetails, OutputDetails, write_media


class _Usage(Struct, gc=False):
    input_tokens: Count
    output_tokens: Count = 0
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


_DECODER = msgspec.json.Decoder(_Usage)


def read(raw: Raw, service_tier: object = None) -> Usage | None:
    """What was consumed, or None where the upstream did not say in a way that makes sense.

    Args:
        raw: The member `usage`.
        service_tier: The member `service_tier` beside it.
    """
    usage = read_counts(_DECODER, raw)
    if usage is None:
        return None
    given = usage.input_tokens_details or InputDetails()
    made = usage.output_tokens_details or OutputDetails()
    cached, written = given.cached_tokens or 0, given.cache_write_tokens or 0
    return Usage(
        input_tokens=min(max(usage.input_tokens, cached + written), LARGEST_COUNT),
        cached_input_tokens=cached,
        cache_creation_input_tokens=written,
        output_tokens=max(usage.output_tokens, made.reasoning_tokens or 0),
        reasoning_tokens=made.reasoning_tokens or 0,
        input_audio_tokens=given.audio_tokens or 0,
        output_audio_tokens=made.audio_tokens or 0,
        input_image_tokens=given.image_tokens or 0,
        output_image_tokens=made.image_tokens or 0,
        service_tier=tier_member.read(service_tier),
    )


def write(usage: Usage) -> dict[str, object]:
    """The usage object of a response."""
    given, made = write_media(
        usage,
        {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_creation_input_tokens,
        },
        {"reasoning_tokens": usage.reasoning_tokens},
    )
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": given,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": made,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
