"""The chunks of a streamed completion, as they are written."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_chat.chunks import DONE, Identity

__all__ = ["DONE", "Identity", "write_choice", "write_usage"]


def write_choice(
    identity: Identity,
    text: str,
    finish_reason: str | None = None,
    index: int = 0,
    beside: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Write a chunk of one choice; `beside` is what it says that the API does not know."""
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}
    return _written(identity, [choice | dict(beside)], {})


def write_usage(identity: Identity, usage: Usage) -> bytes:
    """Write the chunk with the usage, which has no choices."""
    return _written(identity, [], {"usage": usage_object.write(usage)})


def _written(identity: Identity, choices: list[object], more: dict[str, object]) -> bytes:
    members = {
        "id": identity.id,
        "object": "text_completion",
        "created": identity.created,
        "model": identity.served_model,
        "choices": choices,
    }
    return b"data: " + msgspec.json.encode(members | more) + b"\n\n"
