"""The object of a response, as it is written for answers of upstreams with other formats.

What it repeats of a request (its tools, its instructions, ...) is not known where an answer is
translated: these members stand as they do for a request that says nothing of them.
"""

from collections.abc import Sequence

from msgspec import Struct

from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_responses import usage as usage_object

_PREFIX = "resp_"
_OF_CHATS = "chatcmpl-"


class Identity(Struct, frozen=True):
    """What names a response; `created` is in seconds since 1970."""

    id: str
    served_model: str
    created: int

    @property
    def stem(self) -> str:
        """What the names of its items begin with, after their kinds."""
        return self.id.removeprefix(_PREFIX)


def identity(answer_id: str, served_model: str, created: int) -> Identity:
    """The identity of an upstream's answer; nothing in it is left to chance."""
    stem = answer_id.removeprefix(_PREFIX).removeprefix(_OF_CHATS)
    return Identity(f"{_PREFIX}{stem or created}", served_model, created)


def write(
    identity: Identity,
    status: str,
    output: Sequence[object] = (),
    *,
    incomplete_reason: str | None = None,
    usage: Usage | None = None,
) -> dict[str, object]:
    """The object of a response."""
    return {
        "id": identity.id,
        "object": "response",
        "created_at": identity.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": incomplete_reason} if incomplete_reason else None,
        "instructions": None,
        "max_output_tokens": None,
        "model": identity.served_model,
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None if usage is None else usage_object.write(usage),
        "metadata": {},
    }
