"""Converse's usage, read into the neutral one.

`inputTokens` counts only what was neither read from the cache nor written to it: the guide on prompt
caching adds the three up, and `totalTokens` holds all of them
(https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html). Where the total shows that
`inputTokens` holds the cached ones already, they are not added again. Thoughts are part of
`outputTokens`, and are not counted for themselves.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.counts import LARGEST_COUNT, Count, read_counts
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api import service_tier as tier_member


class _CacheDetail(Struct, gc=False, rename="camel"):
    ttl: str
    input_tokens: Count


class _Usage(Struct, gc=False, rename="camel"):
    input_tokens: Count
    output_tokens: Count
    total_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None
    cache_details: list[_CacheDetail] | None = None


class _ServiceTier(Struct, gc=False):
    type: str | None = None


_USAGE = msgspec.json.Decoder(_Usage)
_TIER = msgspec.json.Decoder(_ServiceTier)


def read(raw: Raw, service_tier: Raw) -> Usage | None:
    """What was consumed; None where the upstream did not say in a way that makes sense."""
    usage = read_counts(_USAGE, raw)
    if usage is None:
        return None
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_write_input_tokens or 0
    long_written = sum(it.input_tokens for it in usage.cache_details or () if it.ttl == "1h")
    return Usage(
        input_tokens=min(_input_tokens(usage, cached + written), LARGEST_COUNT),
        cached_input_tokens=cached,
        cache_creation_input_tokens=written,
        long_cache_creation_input_tokens=min(long_written, written),
        output_tokens=usage.output_tokens,
        service_tier=_tier(service_tier),
    )


def _input_tokens(usage: _Usage, cache_tokens: int) -> int:
    holds_all = usage.total_tokens == usage.input_tokens + usage.output_tokens
    if holds_all and usage.input_tokens >= cache_tokens:
        return usage.input_tokens
    return usage.input_tokens + cache_tokens


def _tier(raw: Raw) -> str:
    tier = read_counts(_TIER, raw)
    return tier_member.read(tier.type if tier else None)
