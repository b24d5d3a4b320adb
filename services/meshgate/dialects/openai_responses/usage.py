"""The usage object of responses, to and from the neutral one."""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api import service_tier as tier_member

# The neutral counts are 32 bits wide; what does not fit is not a count of tokens.
_LARGEST = 2**31 - 1
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=_LARGEST)]


class _InputDetails(Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    image_tokens: _Count | None = None


class _OutputDetails(Struct, gc=False):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    image_tokens: _Count | None = None


class _Usage(Struct, gc=False):
    input_tokens: _Count
    output_tokens: _Count = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


_DECODER = msgspec.json.Decoder(_Usage)


def read(raw: Raw, service_tier: object = None) -> Usage | None:
    """What was consumed, or None where the upstream did not say in a way that makes sense.

    Args:
        raw: The member `usage`.
        service_tier: The member `service_tier` beside it.
    """
    data = bytes(raw)
    if not data or data == b"null":
        return None
    try:
        usage = _DECODER.decode(data)
    except UNREADABLE:
        return None
    given = usage.input_tokens_details or _InputDetails()
    made = usage.output_tokens_details or _OutputDetails()
    cached, written = given.cached_tokens or 0, given.cache_write_tokens or 0
    return Usage(
        input_tokens=min(max(usage.input_tokens, cached + written), _LARGEST),
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
    given: dict[str, int] = {
        "cached_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_creation_input_tokens,
    }
    made: dict[str, int] = {"reasoning_tokens": usage.reasoning_tokens}
    media = (
        (given, "audio_tokens", usage.input_audio_tokens),
        (given, "image_tokens", usage.input_image_tokens),
        (made, "audio_tokens", usage.output_audio_tokens),
        (made, "image_tokens", usage.output_image_tokens),
    )
    for details, name, tokens in media:
        if tokens:
            details[name] = tokens
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": given,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": made,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
