"""Google's error object, google.rpc.Status in JSON, as callers of the Gemini API expect it.

The SDK goes by the HTTP status, which stands in `code`, and shows `status` and `message`. The details
say the same reasons as the gateway's gRPC statuses do.
"""

import json

from meshgate.dialects.openai_api.errors import MESSAGE_LIMIT_BYTES
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.status import DOMAIN

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_TYPE = "type.googleapis.com/google.rpc."

_FIELD_LIMIT = 256


def write_error(error: GatewayError) -> bytes:
    """Write the body of an error answer, in ASCII, so that it can travel as metadata."""
    content = {
        "code": error.http_status,
        "message": _cut(error.message),
        "status": _status_of(error.http_status),
        "details": _details(error),
    }
    return json.dumps({"error": content}, separators=(",", ":")).encode()


def write_error_event(error: GatewayError) -> bytes:
    """Write the event that ends a stream which began well."""
    return b"data: " + write_error(error) + b"\n\n"


def _details(error: GatewayError) -> list[dict[str, object]]:
    reason = error.reason.removeprefix("ERROR_REASON_")
    details: list[dict[str, object]] = [
        {"@type": f"{_TYPE}ErrorInfo", "reason": reason, "domain": DOMAIN}
    ]
    if error.field:
        violation = {"field": error.field[:_FIELD_LIMIT], "description": _cut(error.message)}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if error.retry_after_seconds is not None:
        delay = f"{error.retry_after_seconds:.3f}".rstrip("0").rstrip(".")
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{delay}s"})
    return details


def _status_of(http_status: int) -> str:
    known = _STATUSES.get(http_status)
    if known is not None:
        return known
    refused = _CLIENT_ERROR <= http_status < _SERVER_ERROR
    return "FAILED_PRECONDITION" if refused else "INTERNAL"


def _cut(message: str) -> str:
    # What counts is the escaped form: a character may take twelve bytes.
    message = message[:MESSAGE_LIMIT_BYTES]
    while len(json.dumps(message)) > MESSAGE_LIMIT_BYTES:
        message = message[: len(message) * 3 // 4]
    return message
