"""Errors of responses: OpenAI's error object, and the event that ends a stream with one.

OpenAI's SDK raises an error for an event that holds the object itself; clients made from the published
description of the API look for its members in the event. Both are there.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.openai_api.errors import read_error, write_error
from meshgate.dialects.openai_responses.bounds import EVENT_LIMIT_BYTES
from meshgate.runtime.errors import GatewayError

__all__ = ["read_error", "write_error", "write_error_event"]


class _Numbered(Struct, gc=False):
    sequence_number: int = -1


class _Error(Struct):
    error: Raw


class _Members(Struct):
    code: str | None
    message: str
    param: str | None


_NUMBERED = msgspec.json.Decoder(_Numbered)
_ERROR = msgspec.json.Decoder(_Error)
_MEMBERS = msgspec.json.Decoder(_Members)
_UNREADABLE = (*UNREADABLE, MalformedAnswerError)


def write_error_event(error: GatewayError, last_chunk: bytes = b"") -> bytes:
    """Write the event that ends a stream which began well; its number follows the last chunk's."""
    raw = _ERROR.decode(write_error(error)).error
    told = _MEMBERS.decode(raw)
    event = {
        "type": "error",
        "sequence_number": _last_number(last_chunk) + 1,
        "code": told.code,
        "message": told.message,
        "param": told.param,
        "error": raw,
    }
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"


def _last_number(chunk: bytes) -> int:
    try:
        events = sse.EventReader(EVENT_LIMIT_BYTES).feed(chunk)
        return _NUMBERED.decode(events[-1].data).sequence_number if events else -1
    except _UNREADABLE:
        return -1
