"""What tokens were made of, as all of OpenAI's usage objects say it."""

from msgspec import Struct

from meshgate.dialects.counts import Count
from meshgate.dialects.neutral import Usage


class InputDetails(Struct, gc=False):
    """Of what was read."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class OutputDetails(Struct, gc=False):
    """Of what was written."""

    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


def write_media(
    usage: Usage, given: dict[str, object], made: dict[str, object]
) -> tuple[dict[str, object], dict[str, object]]:
    """Add sounds and pictures to the details of what was read and of what was written."""
    media = (
        (given, "audio_tokens", usage.input_audio_tokens),
        (given, "image_tokens", usage.input_image_tokens),
        (made, "audio_tokens", usage.output_audio_tokens),
        (made, "image_tokens", usage.output_image_tokens),
    )
    for details, name, tokens in media:
        if tokens:
            details[name] = tokens
    return given, made
