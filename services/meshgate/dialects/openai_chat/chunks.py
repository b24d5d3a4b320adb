"""The chunks of a streamed chat completion, as they are written."""

import msgspec
from msgspec import Struct

from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api import usage as usage_object

DONE = b"data: [DONE]\n\n"


class Identity(Struct, frozen=True):
    """What all chunks of a stream have in common; `created` is in seconds since 1970."""

    id: str
    served_model: str
    created: int


def write_choice(
    identity: Identity, delta: dict[str, object], finish_reason: str | None = None, index: int = 0
) -> bytes:
    """Write a chunk of one choice."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _written(identity, [choice], {})


def write_usage(identity: Identity, usage: Usage) -> bytes:
    """Write the chunk with the usage, which has no choices."""
    return _written(identity, [], {"usage": usage_object.write(usage)})


def _written(identity: Identity, choices: list[object], more: dict[str, object]) -> bytes:
    members = {
        "id": identity.id,
        "object": "chat.completion.chunk",
        "created": identity.created,
        "model": identity.served_model,
        "choices": choices,
    }
    return b"data: " + msgspec.json.encode(members | more) + b"\n\n"
