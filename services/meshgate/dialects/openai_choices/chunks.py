"""The chunks of a stream of choices, as they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class ChunkForm:
    """How a dialect's chunks look.

    Attributes:
        object_name: What they call themselves.
        opening: The members by which a choice begins.
        closing: The members that say nothing more, beside the finish reason.
    """

    object_name: str
    opening: Mapping[str, object]
    closing: Mapping[str, object]

    def write_opening(self, identity: Identity) -> bytes:
        """Write the chunk that begins the first choice."""
        return self.write_choice(identity, self.opening)

    def write_closing(self, identity: Identity, finish_reason: str, index: int = 0) -> bytes:
        """Write the chunk that ends a choice."""
        return self.write_choice(identity, self.closing, finish_reason, index)

    def write_silence(self, identity: Identity, finish_reason: str) -> bytes:
        """Write a choice that says nothing: what begins one is left out if it would not be missed."""
        opening = b"" if self.opening == self.closing else self.write_opening(identity)
        return opening + self.write_closing(identity, finish_reason)

    def write_choice(
        self,
        identity: Identity,
        members: Mapping[str, object],
        finish_reason: str | None = None,
        index: int = 0,
    ) -> bytes:
        """Write a chunk of one choice that says `members`."""
        choice = {"index": index, **members, "logprobs": None, "finish_reason": finish_reason}
        return self._written(identity, [choice], {})

    def write_usage(self, identity: Identity, usage: Usage) -> bytes:
        """Write the chunk with the usage, which has no choices."""
        return self._written(identity, [], {"usage": usage_object.write(usage)})

    def _written(
        self, identity: Identity, choices: Sequence[object], more: dict[str, object]
    ) -> bytes:
        members = {
            "id": identity.id,
            "object": self.object_name,
            "created": identity.created,
            "model": identity.served_model,
            "choices": choices,
        }
        return b"data: " + msgspec.json.encode(members | more) + b"\n\n"
