"""Anthropic's error object: written for callers, found in the streams of upstreams.

Sources: "Errors" in Anthropic's documentation, and the error classes of its Python SDK, which go by
the status of an answer, 2026-11-29.
"""

import json

import msgspec

from meshgate.dialects.answers import UNREADABLE, UpstreamErrorEvent
from meshgate.dialects.openai_api.errors import MESSAGE_LIMIT_BYTES, cut, detail_of
from meshgate.dialects.sse import Event
from meshgate.runtime.errors import GatewayError, LimitExceededError

# By the status, as Anthropic has them.
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_CLIENT_ERRORS = range(400, 500)


def write_error(error: GatewayError) -> bytes:
    """Write the body of an error answer, in ASCII, so that it can travel as metadata."""
    detail = {"type": _type_of(error), "message": cut(_message_of(error))}
    return json.dumps({"type": "error", "error": detail}, separators=(",", ":")).encode()


def write_error_event(error: GatewayError) -> bytes:
    """Write the event that ends a stream which began well."""
    return b"event: error\ndata: " + write_error(error) + b"\n\n"


def find_error(event: Event) -> UpstreamErrorEvent | None:
    """Return the error that an event reports, if it reports one.

    It is an event of that name, or an object that says it is one.
    """
    named = event.name == b"error"
    if not named and b'"error"' not in event.data:
        return None
    try:
        answer = msgspec.json.decode(event.data)
    except UNREADABLE:
        answer = None
    if not named and not _is_error(answer):
        return None
    detail = detail_of(answer)
    return UpstreamErrorEvent(
        message=detail.message or "the upstream reported an error",
        type=detail.type,
        code=detail.code,
        param=detail.param,
    )


def _is_error(answer: object) -> bool:
    return isinstance(answer, dict) and (
        answer.get("type") == "error" or (bool(answer.get("error")) and "type" not in answer)
    )


def _type_of(error: GatewayError) -> str:
    if isinstance(error, LimitExceededError) and error.values.get("limit", "").startswith("cost"):
        return "billing_error"  # as Anthropic says it of an account without money
    kind = _TYPES.get(error.http_status)
    if kind is None:
        kind = "invalid_request_error" if error.http_status in _CLIENT_ERRORS else "api_error"
    return kind


def _message_of(error: GatewayError) -> str:
    """What is wrong, and where: there is no other place for the name of a field."""
    field = error.field or ""
    if field and field not in error.message:
        return f"{field[:256]}: {error.message}"[:MESSAGE_LIMIT_BYTES]
    return error.message
