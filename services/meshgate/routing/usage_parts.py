"""What of a usage few models have prices for."""

from meshgate.dialects.neutral import Usage
from meshgate.pricing.cost import Parts


def parts_of(usage: Usage) -> Parts:
    """What few models have prices for."""
    return Parts(
        usage.long_cache_creation_input_tokens,
        usage.reasoning_tokens,
        usage.input_audio_tokens,
        usage.output_audio_tokens,
        usage.input_image_tokens,
        usage.output_image_tokens,
        usage.images,
        usage.input_audio_seconds,
        usage.input_characters,
        usage.search_units,
    )
