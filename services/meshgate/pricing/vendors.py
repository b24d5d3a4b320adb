"""The vendors whose own prices are known, and where their own APIs are.

What is reached at any other address is somebody else's: a proxy, a region with a surcharge, a server
of one's own. What that charges, only the configuration can say.
"""

from collections.abc import Mapping
from types import MappingProxyType

ADDRESSES: Mapping[str, str] = MappingProxyType(
    {
        "https://api.openai.com/v1": "openai",
        "https://api.anthropic.com/v1": "anthropic",
        "https://generativelanguage.googleapis.com/v1beta/openai": "gemini",
        "https://generativelanguage.googleapis.com/v1beta": "gemini",
        "https://api.mistral.ai/v1": "mistral",
        "https://api.cohere.ai/compatibility/v1": "cohere",
        "https://api.cohere.com/compatibility/v1": "cohere",
        "https://api.cohere.com": "cohere",
        "https://api.cohere.com/v2": "cohere",  # rerank
        "https://api.deepseek.com": "deepseek",
        "https://api.deepseek.com/v1": "deepseek",
        "https://api.x.ai/v1": "xai",
        "https://api.groq.com/openai/v1": "groq",
        "https://api.together.ai/v1": "together",
        "https://api.together.xyz/v1": "together",
        "https://api.fireworks.ai/inference/v1": "fireworks",
    }
)
"""By address, without a slash at the end."""

_PREFIXES = {"gemini": "models/"}
"""What a vendor lets a model's name begin with, without a difference."""

VENDORS = frozenset(ADDRESSES.values())


def vendor_at(base_url: str) -> str | None:
    """The vendor whose own API is at an address; None for any other."""
    return ADDRESSES.get(base_url.rstrip("/"))


def plain_name(vendor: str, model: str) -> str:
    """The name of a model without what makes no difference to its vendor."""
    return model.removeprefix(_PREFIXES.get(vendor, ""))
