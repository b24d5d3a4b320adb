"""Anthropic's usage object, to and from the neutral one.

Anthropic counts what its cache had a part in beside `input_tokens`; neutral counts hold all of it.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.counts import LARGEST_COUNT, Count, read_counts
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api import service_tier as tier_member

FAST = "fast"
"""The tier of what is served fast."""


class _Creation(Struct, gc=False):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class _OutputDetails(Struct, gc=False):
    thinking_tokens: Count | None = None


class _ServerToolUse(Struct, gc=False):
    web_search_requests: Count | None = None  # what it fetches, and its code, cost tokens only


class WireUsage(Struct, gc=False):
    """Usage as it stands in the JSON, as far as it counts."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: _Creation | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerToolUse | None = None
    service_tier: object = None
    speed: object = None


_DECODER = msgspec.json.Decoder(WireUsage)
_TIERS = frozenset({"standard", "priority", "batch"})


class UsageCount:
    """Puts together what an answer says of its usage: once, or in a stream from time to time.

    Counts in a stream are totals so far, and each event says some of them only. What the beginning
    says of the output is next to nothing of it.

    Attributes:
        usage: All that was said until now.
        whole: The same once the end has said what was written; None as long as it has not.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self._is_read = self._is_written = False

    @property
    def whole(self) -> Usage | None:
        return self.usage if self._is_read and self._is_written else None

    def take(self, raw: Raw | bytes, *, is_end: bool) -> None:
        """Take note of a member `usage`; what makes no sense says nothing.

        Args:
            raw: The member.
            is_end: Whether the answer is over, and this counts all of it.
        """
        found = read_counts(_DECODER, raw)
        if found is None:
            return
        self.usage = _larger(self.usage or Usage(), found)
        self._is_read |= found.input_tokens is not None
        self._is_written |= is_end and found.output_tokens is not None


def read(raw: Raw | bytes) -> Usage | None:
    """What was consumed; None where the upstream did not say in a way that makes sense."""
    count = UsageCount()
    count.take(raw, is_end=True)
    return count.whole


def write(usage: Usage) -> dict[str, object]:
    """The usage object of an answer."""
    long_creation = min(usage.long_cache_creation_input_tokens, usage.cache_creation_input_tokens)
    short_creation = usage.cache_creation_input_tokens - long_creation
    written: dict[str, object] = {
        **write_counts(usage),
        "cache_creation": {
            "ephemeral_5m_input_tokens": short_creation,
            "ephemeral_1h_input_tokens": long_creation,
        },
        "server_tool_use": None,
    }
    if usage.search_units:
        written["server_tool_use"] = {"web_search_requests": usage.search_units}
    written["service_tier"] = usage.service_tier if usage.service_tier in _TIERS else None
    return written


def write_counts(usage: Usage) -> dict[str, object]:
    """The counts, as the end of a stream tells them too."""
    cached, created = usage.cached_input_tokens, usage.cache_creation_input_tokens
    written: dict[str, object] = {
        "input_tokens": max(0, usage.input_tokens - cached - created),
        "cache_creation_input_tokens": created,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return written


def _larger(known: Usage, found: WireUsage) -> Usage:
    cached = max(known.cached_input_tokens, found.cache_read_input_tokens or 0)
    creation, details = found.cache_creation or _Creation(), found.output_tokens_details
    short, long = creation.ephemeral_5m_input_tokens or 0, creation.ephemeral_1h_input_tokens or 0
    created = max(found.cache_creation_input_tokens or 0, short + long)
    created = max(known.cache_creation_input_tokens, created)
    tools = found.server_tool_use
    plain = known.input_tokens - known.cached_input_tokens - known.cache_creation_input_tokens
    return Usage(
        input_tokens=min(max(plain, found.input_tokens or 0) + cached + created, LARGEST_COUNT),
        cached_input_tokens=cached,
        cache_creation_input_tokens=created,
        output_tokens=max(known.output_tokens, found.output_tokens or 0),
        reasoning_tokens=max(known.reasoning_tokens, (details and details.thinking_tokens) or 0),
        long_cache_creation_input_tokens=max(known.long_cache_creation_input_tokens, long),
        search_units=max(known.search_units, (tools and tools.web_search_requests) or 0),
        service_tier=_tier(found) or known.service_tier,
    )


def _tier(found: WireUsage) -> str:
    """How it was served: what is served fast has prices of its own, and so counts as a tier."""
    tier = tier_member.read(found.service_tier)
    if tier in ("", "standard") and tier_member.read(found.speed) == FAST:
        return FAST
    return tier
