"""`usageMetadata`, to and from the neutral form.

Google counts in the prompt what was cached, and apart from it what its tools brought along; the
candidates are without the thoughts. Source: https://ai.google.dev/api/generate-content#UsageMetadata.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.counts import LARGEST_COUNT, Count, read_counts
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api import service_tier as tier_member


class _Modality(Struct, rename="camel", gc=False):
    modality: str | None = None
    token_count: Count | None = None


class _Usage(Struct, rename="camel", gc=False):
    prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    prompt_tokens_details: list[_Modality] | None = None
    candidates_tokens_details: list[_Modality] | None = None
    service_tier: object = None


_DECODER = msgspec.json.Decoder(_Usage)
_AUDIO, _IMAGE = "AUDIO", "IMAGE"


def read(raw: Raw) -> Usage | None:
    """What was consumed; None where the upstream does not say, or in no way that makes sense."""
    usage = read_counts(_DECODER, raw)
    if usage is None or usage.prompt_token_count is None:
        return None  # early chunks of a stream may bring the kind of traffic only
    thoughts = usage.thoughts_token_count or 0
    prompt = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
    cached = usage.cached_content_token_count or 0
    return Usage(
        input_tokens=min(max(prompt, cached), LARGEST_COUNT),
        cached_input_tokens=cached,
        output_tokens=min((usage.candidates_token_count or 0) + thoughts, LARGEST_COUNT),
        reasoning_tokens=thoughts,
        input_audio_tokens=_of(_AUDIO, usage.prompt_tokens_details),
        output_audio_tokens=_of(_AUDIO, usage.candidates_tokens_details),
        input_image_tokens=_of(_IMAGE, usage.prompt_tokens_details),
        output_image_tokens=_of(_IMAGE, usage.candidates_tokens_details),
        service_tier=tier_member.read(usage.service_tier),
    )


def write(usage: Usage) -> dict[str, object]:
    """The same for callers. What was written into caches has no place, and is in the prompt."""
    said = max(usage.output_tokens - usage.reasoning_tokens, 0)
    members: dict[str, object] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": said,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_input_tokens:
        members["cachedContentTokenCount"] = usage.cached_input_tokens
    if usage.reasoning_tokens:
        members["thoughtsTokenCount"] = usage.reasoning_tokens
    for name, whole, audio, image in (
        (
            "promptTokensDetails",
            usage.input_tokens,
            usage.input_audio_tokens,
            usage.input_image_tokens,
        ),
        ("candidatesTokensDetails", said, usage.output_audio_tokens, usage.output_image_tokens),
    ):
        if audio or image:
            members[name] = _details(whole, audio, image)
    return members


def _details(whole: int, audio: int, image: int) -> list[dict[str, object]]:
    counts = (("TEXT", max(whole - audio - image, 0)), (_AUDIO, audio), (_IMAGE, image))
    return [{"modality": name, "tokenCount": tokens} for name, tokens in counts if tokens]


def _of(modality: str, details: list[_Modality] | None) -> int:
    return sum(each.token_count or 0 for each in details or () if each.modality == modality)
