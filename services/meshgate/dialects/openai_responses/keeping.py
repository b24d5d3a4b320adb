"""What requests for responses are alike, and which answers to them are worth keeping."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.canonical import CanonicalRequest, members_of, written
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_choices.keeping import asks_for_none
from meshgate.dialects.openai_responses import status, wire
from meshgate.dialects.openai_responses.fields import EXPRESSED, INEXPRESSIBLE

# How the answer travels, what only tells the provider who asked, and what is never done.
_WITHOUT = frozenset({"stream", "stream_options", "user", "metadata", "store", "background"})
_KEPT = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS})
_OWN_TOOLS = ("function", "custom")
_ENCRYPTED = "reasoning.encrypted_content"


class _Content(Struct, gc=False):
    type: str = ""


class _Item(Struct, gc=False):
    type: str
    content: list[_Content] | None = None


class _Response(Struct, gc=False):
    output: list[_Item]
    status: str
    incomplete_details: wire.IncompleteDetails | None = None
    error: Raw = Raw()


_RESPONSE = msgspec.json.Decoder(_Response)


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form.

    Raises:
        NoCanonicalFormError: It has none.
    """
    members = members_of(body)
    kept = {name: value for name, value in members.items() if name not in _WITHOUT}
    return CanonicalRequest(written(kept), tells_alike=_tells_alike(members))


def good_end(body: bytes) -> FinishReason | None:
    """How a plain answer ended; None if it did not end well, or is a refusal."""
    try:
        response = _RESPONSE.decode(body)
    except UNREADABLE:
        return None
    refuses = any(part.type == "refusal" for item in response.output for part in item.content or ())
    why = response.incomplete_details.reason if response.incomplete_details else None
    reason = status.read(response.status, why, [item.type for item in response.output])
    is_cut_otherwise = why is not None and why != status.incomplete_reason(FinishReason.LENGTH)
    if refuses or is_cut_otherwise or wire.error_of_response(response.error) or reason not in _KEPT:
        return None
    return reason


def _tells_alike(members: dict[str, Any]) -> bool:
    """Whether nothing is asked for that the neutral form, by way of which it is told, cannot hold."""
    tools = members.get("tools") or []
    include = members.get("include") or []
    return (
        asks_for_none(members, INEXPRESSIBLE)
        and members.keys() <= EXPRESSED | INEXPRESSIBLE.keys() | {"service_tier", "background"}
        and isinstance(tools, list)
        and all(isinstance(tool, dict) and tool.get("type") in _OWN_TOOLS for tool in tools)
        and isinstance(include, list)
        and all(what == _ENCRYPTED for what in include)
    )
