"""OpenAI's usage object, to and from the neutral one."""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.neutral import Usage

# The neutral counts are 32 bits wide; what does not fit is not a count of tokens.
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class _PromptDetails(Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None


class _CompletionDetails(Struct, gc=False):
    reasoning_tokens: _Count | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count = 0  # embeddings have none
    total_tokens: _Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


_DECODER = msgspec.json.Decoder(_Usage)


def read(raw: Raw) -> Usage | None:
    """Return what was consumed, or None where the upstream did not say in a way that makes sense.

    An answer is not thrown away for an unreadable count: it was paid for, and can be estimated.
    """
    data = bytes(raw)
    if not data or data == b"null":
        return None
    try:
        usage = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    prompt = usage.prompt_tokens_details or _PromptDetails()
    completion = usage.completion_tokens_details or _CompletionDetails()
    return Usage(
        input_tokens=usage.prompt_tokens,
        cached_input_tokens=prompt.cached_tokens or 0,
        cache_creation_input_tokens=prompt.cache_write_tokens or 0,
        output_tokens=_output_tokens(usage, completion.reasoning_tokens or 0),
        reasoning_tokens=completion.reasoning_tokens or 0,
    )


def write(usage: Usage) -> dict[str, object]:
    """Return the usage object of a chat completion."""
    prompt_details = {"cached_tokens": usage.cached_input_tokens}
    if usage.cache_creation_input_tokens:
        prompt_details["cache_write_tokens"] = usage.cache_creation_input_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _output_tokens(usage: _Usage, reasoning_tokens: int) -> int:
    # Some upstreams leave reasoning out of completion_tokens; the total gives them away.
    whole = usage.completion_tokens + reasoning_tokens
    if usage.total_tokens == usage.prompt_tokens + whole:
        return whole
    return usage.completion_tokens
