"""OpenAI's usage object, to and from the neutral one."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.counts import LARGEST_COUNT, Count, read_counts
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api import service_tier as tier_member
from meshgate.dialects.openai_api.usage_details import InputDetails, OutputDetails, write_media


class _CreationDetails(Struct, gc=False):
    ephemeral_1h_input_tokens: Count | None = None


class _PromptDetails(InputDetails, gc=False):
    cache_creation_token_details: _CreationDetails | None = None  # of proxies before Anthropic


class _Usage(Struct, gc=False):
    prompt_tokens: Count
    completion_tokens: Count = 0  # embeddings have none
    total_tokens: Annotated[int, Meta(ge=0)] | None = None  # two counts may be in it
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: Count | None = None  # DeepSeek's word for what was cached


_DECODER = msgspec.json.Decoder(_Usage)


def read(raw: Raw, service_tier: object = None) -> Usage | None:
    """Return what was consumed, or None where the upstream did not say in a way that makes sense.

    Where an upstream leaves out of its prompt what its cache had a part in, that is added.

    Args:
        raw: The member `usage`.
        service_tier: The member `service_tier` beside it.
    """
    usage = read_counts(_DECODER, raw)
    if usage is None:
        return None
    prompt = usage.prompt_tokens_details or _PromptDetails()
    completion = usage.completion_tokens_details or OutputDetails()
    cached = prompt.cached_tokens or usage.prompt_cache_hit_tokens or 0
    written = prompt.cache_write_tokens or 0
    creation = prompt.cache_creation_token_details or _CreationDetails()
    return Usage(
        input_tokens=min(max(usage.prompt_tokens, cached + written), LARGEST_COUNT),
        cached_input_tokens=cached,
        cache_creation_input_tokens=written,
        output_tokens=_output_tokens(usage, completion.reasoning_tokens or 0),
        reasoning_tokens=completion.reasoning_tokens or 0,
        long_cache_creation_input_tokens=creation.ephemeral_1h_input_tokens or 0,
        input_audio_tokens=prompt.audio_tokens or 0,
        output_audio_tokens=completion.audio_tokens or 0,
        input_image_tokens=prompt.image_tokens or 0,
        output_image_tokens=completion.image_tokens or 0,
        service_tier=tier_member.read(service_tier),
    )


def write(usage: Usage) -> dict[str, object]:
    """Return the usage object of a chat completion."""
    given: dict[str, object] = {"cached_tokens": usage.cached_input_tokens}
    if usage.cache_creation_input_tokens:
        given["cache_write_tokens"] = usage.cache_creation_input_tokens
    if usage.long_cache_creation_input_tokens:
        given["cache_creation_token_details"] = {
            "ephemeral_1h_input_tokens": usage.long_cache_creation_input_tokens
        }
    given, made = write_media(usage, given, {"reasoning_tokens": usage.reasoning_tokens})
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": given,
        "completion_tokens_details": made,
    }


def _output_tokens(usage: _Usage, reasoning_tokens: int) -> int:
    # Some upstreams leave reasoning out of completion_tokens; the total gives them away.
    whole = usage.completion_tokens + reasoning_tokens
    if usage.total_tokens == usage.prompt_tokens + whole:
        return whole
    return usage.completion_tokens
