"""What a use of a target costs."""

from typing import NamedTuple

from meshgate.pricing.prices import TOKENS_PER_PRICE, Prices


class Parts(NamedTuple):
    """What few models have prices for, as in usage.proto: tokens that are parts of wholes.

    The last four are no tokens, and part of nothing.
    """

    long_cache_creation_input: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0
    input_image: int = 0
    output_image: int = 0
    images: int = 0
    audio_seconds: int = 0
    characters: int = 0
    search_units: int = 0


NO_PARTS = Parts()


def cost_nanos(  # noqa: PLR0913 - on the path of every request
    prices: Prices,
    input_tokens: int,
    cached_input_tokens: int,
    cache_creation_input_tokens: int,
    output_tokens: int,
    *,
    parts: Parts = NO_PARTS,
    tier: str = "",
) -> int:
    """What one charge costs, in nano-dollars.

    `cached_input_tokens` and `cache_creation_input_tokens` are parts of `input_tokens`, as in
    usage.proto. No token is paid for twice: where parts are together more than the whole, media
    come first, then what was written to the cache, then what was read from it. Rounded up, once: no
    charge is booked below what it cost, and none is off by a whole nano-dollar.
    """
    at = prices if prices.is_plain else prices.at(tier, input_tokens)
    plain_tokens = input_tokens - cached_input_tokens - cache_creation_input_tokens
    if prices.is_flat and plain_tokens >= 0:
        scaled = (
            plain_tokens * at.input_nanos
            + cached_input_tokens * at.cached_input_nanos
            + cache_creation_input_tokens * at.cache_creation_nanos
            + output_tokens * at.output_nanos
        )
        return -(-scaled // TOKENS_PER_PRICE)
    scaled = _read(at, input_tokens, cached_input_tokens, cache_creation_input_tokens, parts)
    scaled += _written(at, output_tokens, parts)
    return at.request_nanos + _counted(at, parts) - (-scaled // TOKENS_PER_PRICE)


def _counted(at: Prices, parts: Parts) -> int:
    """What is not charged by the token."""
    return (
        parts.images * at.image_nanos
        + parts.audio_seconds * at.audio_second_nanos
        + parts.characters * at.character_nanos
        + parts.search_units * at.search_nanos
    )


def _read(at: Prices, whole: int, cached: int, creation: int, parts: Parts) -> int:
    long_creation = min(parts.long_cache_creation_input, creation)
    kinds = (
        (parts.input_audio, at.input_audio_nanos),
        (parts.input_image, at.input_image_nanos),
        (long_creation, at.long_cache_creation_nanos),
        (
            creation if at.long_cache_creation_nanos is None else creation - long_creation,
            at.cache_creation_nanos,
        ),
        (cached, at.cached_input_nanos),
    )
    return _allotted(whole, kinds, at.input_nanos)


def _written(at: Prices, whole: int, parts: Parts) -> int:
    kinds = (
        (parts.output_audio, at.output_audio_nanos),
        (parts.output_image, at.output_image_nanos),
        (parts.reasoning, at.reasoning_nanos),
    )
    return _allotted(whole, kinds, at.output_nanos)


def _allotted(whole: int, kinds: tuple[tuple[int, int | None], ...], rest_nanos: int) -> int:
    """The parts at their prices, as far as the whole goes, and the rest at its own."""
    scaled = 0
    for tokens, nanos in kinds:
        if nanos is not None and tokens:
            taken = min(tokens, whole)
            scaled += taken * nanos
            whole -= taken
    return scaled + whole * rest_nanos
