"""Sending a body to another model without touching the rest of it."""

import re

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import RequestHead

_VALUE = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*"([^"\\]*)"')
# A member's name may be written with escapes. All letters of the names that are looked for here
# begin so when they are escaped.
_ESCAPED_LETTER = re.compile(rb"\\u00[567]")
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_TRUE = Raw(b"true")


def retarget(body: bytes, model: str, head: RequestHead) -> bytes:
    """Replace the model's name in a body that `head` was read from, and ask streams for usage.

    Everything else keeps its bytes and its order.
    """
    wants_usage = head.stream and not head.include_usage
    if _can_splice(body, (b"stream_options",) if wants_usage else ()):
        name = _VALUE.match(body, body.find(b'"model"'))
        if name is not None:
            value = msgspec.json.encode(model)
            if wants_usage:
                value += b',"stream_options":{"include_usage":true}'
            return b"".join((body[: name.start(1) - 1], value, body[name.end(1) + 1 :]))
    return _encoded_anew(body, model, wants_usage=wants_usage)


def _can_splice(body: bytes, absent: tuple[bytes, ...]) -> bool:
    # `head` proves that the top level has a model. If its name is not written with escapes, and
    # `"model"` stands in the body once, then there: within a string its quotes would be escaped.
    if body.count(b'"model"') != 1 or any(name in body for name in absent):
        return False
    return b"\\u00" not in body or _ESCAPED_LETTER.search(body) is None


def _encoded_anew(body: bytes, model: str, *, wants_usage: bool) -> bytes:
    members = _MEMBERS.decode(body)
    members["model"] = Raw(msgspec.json.encode(model))
    if wants_usage:
        members["stream_options"] = _with_usage(members.get("stream_options"))
    return msgspec.json.encode(members)


def _with_usage(options: Raw | None) -> Raw:
    members = {} if options is None or options == Raw(b"null") else _MEMBERS.decode(options)
    members["include_usage"] = _TRUE
    return Raw(msgspec.json.encode(members))
