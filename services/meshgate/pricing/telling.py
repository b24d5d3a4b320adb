"""Prices as people read them."""

from typing import Any

from meshgate.pricing.money import usd_of_nanos
from meshgate.pricing.prices import Prices

_KINDS = (
    ("input", "input_nanos"),
    ("cached_input", "cached_input_nanos"),
    ("cache_creation", "cache_creation_nanos"),
    ("long_cache_creation", "long_cache_creation_nanos"),
    ("input_audio", "input_audio_nanos"),
    ("input_image", "input_image_nanos"),
    ("output", "output_nanos"),
    ("reasoning", "reasoning_nanos"),
    ("output_audio", "output_audio_nanos"),
    ("output_image", "output_image_nanos"),
)
_UNITS = (
    ("request", "request_nanos"),
    ("per_image", "image_nanos"),
    ("per_audio_second", "audio_second_nanos"),
    ("per_character", "character_nanos"),
    ("per_search", "search_nanos"),
)


def rates(prices: Prices) -> dict[str, str]:
    """What one tier and step costs, in the words of the configuration, in USD."""
    told = {
        word: usd_of_nanos(nanos)
        for word, name in _KINDS
        if (nanos := getattr(prices, name)) is not None
    }
    return told | {
        word: usd_of_nanos(nanos) for word, name in _UNITS if (nanos := getattr(prices, name))
    }


def told(prices: Prices) -> dict[str, Any]:
    """All of it, as it could stand in the configuration."""
    whole: dict[str, Any] = rates(prices)
    if prices.steps:
        whole["steps"] = [
            {"above": step.above_tokens, **rates(step.prices)} for step in prices.steps
        ]
    if prices.tiers:
        whole["tiers"] = {tier.name: told(tier.prices) for tier in prices.tiers}
    return whole
