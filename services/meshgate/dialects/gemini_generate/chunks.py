"""Answers and chunks of generateContent, as they are written."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from meshgate.dialects.gemini_generate import usage as usage_metadata
from meshgate.dialects.neutral import Usage


class Identity(Struct, frozen=True):
    """What all chunks of a stream have in common."""

    id: str
    served_model: str


def write_answer(
    identity: Identity,
    parts: Sequence[object],
    *,
    finish_reason: str | None = None,
    usage: Usage | None = None,
    index: int = 0,
    grounding: dict[str, object] | None = None,
) -> bytes:
    """Write an answer of one candidate, or a chunk of one."""
    candidate: dict[str, object] = {"content": {"parts": parts, "role": "model"}}
    if finish_reason is not None:
        candidate["finishReason"] = finish_reason
    candidate["index"] = index
    if grounding is not None:
        candidate["groundingMetadata"] = grounding
    members: dict[str, object] = {"candidates": [candidate]}
    if usage is not None:
        members["usageMetadata"] = usage_metadata.write(usage)
    return msgspec.json.encode(
        members | {"modelVersion": identity.served_model, "responseId": identity.id}
    )


def event(data: bytes) -> bytes:
    """A chunk as an event."""
    return b"data: " + data + b"\n\n"
