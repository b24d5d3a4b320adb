"""OpenAI's error object: written for callers, read from upstreams."""

import json

import msgspec

from meshgate.dialects.answers import UNREADABLE, UpstreamErrorDetail
from meshgate.dialects.openai_api import google_details
from meshgate.runtime.errors import (
    ContentBlockedError,
    CredentialError,
    DeadlineExceededError,
    GatewayError,
    LimitExceededError,
    ModelNotAllowedError,
    ModelNotFoundError,
    ModelUnpricedError,
    NotFoundError,
    PermissionDeniedError,
    ServiceUnavailableError,
    UnsupportedError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)

MESSAGE_LIMIT_BYTES = 4096
_WORD_LIMIT = 256
_BODY_LIMIT_BYTES = 1024 * 1024

# The first class that fits decides.
_CODES: tuple[tuple[type[GatewayError], str], ...] = (
    (CredentialError, "invalid_api_key"),
    (ContentBlockedError, "content_filter"),  # as Azure says it of a prompt
    (ModelNotAllowedError, "model_not_allowed"),
    (PermissionDeniedError, "permission_denied"),
    (ModelNotFoundError, "model_not_found"),
    (NotFoundError, "unknown_url"),
    (UnsupportedError, "unsupported_parameter"),
    (UpstreamRateLimitedError, "rate_limit_exceeded"),
    (LimitExceededError, "rate_limit_exceeded"),
    (ModelUnpricedError, "model_unpriced"),
    (UpstreamTimeoutError, "timeout"),
    (DeadlineExceededError, "timeout"),
    (ServiceUnavailableError, "service_unavailable"),
)
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


def write_error(error: GatewayError) -> bytes:
    """Write the body of an error answer, in ASCII, so that it can travel as metadata."""
    content = {
        "message": cut(error.message),
        "type": _type_of(error),
        "param": error.field[:_WORD_LIMIT] if error.field else None,
        "code": _code_of(error),
    }
    return json.dumps({"error": content}, separators=(",", ":")).encode()


def write_error_event(error: GatewayError) -> bytes:
    """Write the event that ends a stream which began well."""
    return b"data: " + write_error(error) + b"\n\n"


def read_error(status: int, body: bytes) -> UpstreamErrorDetail:
    """Read what an upstream that answered with an error has to say. Never raises.

    Text that is not JSON is not passed on: it was made by some proxy, and may name addresses.
    """
    try:
        answer = msgspec.json.decode(body) if len(body) <= _BODY_LIMIT_BYTES else None
    except UNREADABLE:
        answer = None
    detail = detail_of(answer)
    if detail.message:
        return detail
    return msgspec.structs.replace(detail, message=f"the upstream answered with status {status}")


def detail_of(answer: object) -> UpstreamErrorDetail:
    """Find the error in a decoded answer, in any of the shapes that upstreams give it.

    OpenAI: `{"error": {...}}`; Ollama: `{"error": "..."}`; older vLLM: `{"message": ...}`;
    FastAPI: `{"detail": ...}`; Mistral: `{"message": {"detail": ...}}`; Google:
    `{"error": {"code": 429, "status": ..., "details": [...]}}`, in Gemini's OpenAI mode and in arrays of
    chunks a list of one of them.
    """
    if isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, dict):
        return UpstreamErrorDetail()
    error = answer.get("error", answer)
    if not isinstance(error, dict):
        return UpstreamErrorDetail(message=_text(error)[:MESSAGE_LIMIT_BYTES])
    google = google_details.read(error.get("details"))
    return UpstreamErrorDetail(
        message=_message_of(error)[:MESSAGE_LIMIT_BYTES],
        type=_text(error.get("type") or error.get("status"))[:_WORD_LIMIT],
        code=(google.reason or _text(error.get("code")))[:_WORD_LIMIT],
        param=(_text(error.get("param")) or _place_of(error) or google.field)[:_WORD_LIMIT],
        retry_after_seconds=google.retry_after_seconds,
    )


def _message_of(error: dict[object, object]) -> str:
    complaint = _complaint_of(error)
    if complaint is not None:
        return _text(complaint.get("msg"))
    return _text(error.get("message", error.get("detail")))


def _place_of(error: dict[object, object]) -> str:
    """What is complained of, as OpenAI names it: `messages.0.name`."""
    complaint = _complaint_of(error) or {}
    place = complaint.get("loc")
    if not isinstance(place, list) or place[:1] != ["body"]:
        return ""
    return ".".join(map(_text, place[1:]))


def _complaint_of(error: dict[object, object]) -> dict[object, object] | None:
    """The first complaint of a list of them; None where there is no list."""
    told = error.get("message", error.get("detail"))
    if isinstance(told, dict):
        told = told.get("detail")
    return told[0] if isinstance(told, list) and told and isinstance(told[0], dict) else None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return ""


def _type_of(error: GatewayError) -> str:
    if error.http_status == _TOO_MANY_REQUESTS:
        return "rate_limit_error"
    return "server_error" if error.http_status >= _SERVER_ERROR else "invalid_request_error"


def _code_of(error: GatewayError) -> str | None:
    if isinstance(error, UpstreamRefusedError):
        return error.upstream_code[:_WORD_LIMIT] if error.upstream_code else None
    if isinstance(error, LimitExceededError) and error.values.get("limit", "").startswith("cost"):
        return "insufficient_quota"  # as OpenAI says it of an account without money
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def cut(message: str) -> str:
    """A message that takes no more than MESSAGE_LIMIT_BYTES in JSON."""
    # What counts is the escaped form: a character may take twelve bytes.
    message = message[:MESSAGE_LIMIT_BYTES]
    while len(json.dumps(message)) > MESSAGE_LIMIT_BYTES:
        message = message[: len(message) * 3 // 4]
    return message
