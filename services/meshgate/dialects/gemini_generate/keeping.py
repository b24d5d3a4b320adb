"""What generateContent requests are alike, and which answers to them are worth keeping."""

from typing import Any

import msgspec

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.canonical import CanonicalRequest, NoCanonicalFormError, members_of, written
from meshgate.dialects.gemini_generate import passthrough, read_request
from meshgate.dialects.gemini_generate.member_names import with_camel_case
from meshgate.dialects.gemini_generate.wire import REQUEST
from meshgate.dialects.neutral import FinishReason
from meshgate.runtime.errors import InvalidRequestError

_KEPT_REASONS = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS})
_CANDIDATES = "candidates"


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form, with names in Google's own spelling, and without labels.

    Raises:
        NoCanonicalFormError: It has none.
    """
    members_of(body)  # before anything is spelled in another way: no name stands there twice
    try:
        members = members_of(with_camel_case(body, REQUEST))
    except InvalidRequestError as error:
        raise NoCanonicalFormError("a member is named in two ways") from error
    kept = {name: value for name, value in members.items() if name != "labels"}
    return CanonicalRequest(written(kept), tells_alike=_tells_alike(body))


def good_end(body: bytes) -> FinishReason | None:
    """How a plain answer ended; None if one of its candidates did not end well, or there is none."""
    try:
        answer: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
        reasons = [
            passthrough.glance(msgspec.json.encode({_CANDIDATES: [candidate]})).finish_reason
            for candidate in answer.get(_CANDIDATES) or ()
        ]
    except (*UNREADABLE, MalformedAnswerError):
        return None
    if not reasons or any(reason not in _KEPT_REASONS for reason in reasons):
        return None
    return reasons[0]


def _tells_alike(body: bytes) -> bool:
    """Whether nothing is asked for that the neutral form, by way of which it is told, cannot hold."""
    try:
        return not read_request.read(body).extra_json
    except InvalidRequestError:
        return False
