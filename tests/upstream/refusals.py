"""Error answers: OpenAI's JSON, and what stands in for it when things are worse."""

from typing import Any

import msgspec

from upstream.behaviours import Refuse
from upstream.http1 import Headers

HTML = b"<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>\n"
_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "requests",
}
_CODES = {429: "rate_limit_exceeded"}


def refusal(refuse: Refuse) -> tuple[Headers, bytes]:
    """The headers (without content-length) and the body of an error answer.

    Google says in the body when to come back.
    """
    has_header = refuse.retry_after is not None and refuse.body != "google"
    retry = [("retry-after", refuse.retry_after or "")] if has_header else []
    media_type, body = _body(refuse)

    return [("content-type", media_type), *retry], body


def _body(refuse: Refuse) -> tuple[str, bytes]:
    if refuse.body == "html":
        return "text/html", HTML
    if refuse.body == "text":
        return "text/plain", refuse.message.encode()
    if refuse.body == "empty":
        return "text/plain", b""
    if refuse.body == "google":
        return "application/json; charset=UTF-8", google_error(refuse)
    error = error_json(
        refuse.message,
        refuse.error_type or _TYPES.get(refuse.status, "server_error"),
        param=refuse.param,
        code=refuse.code or _CODES.get(refuse.status),
    )
    return "application/json", msgspec.json.format(error, indent=2)


def error_json(
    message: str, error_type: str, *, param: str | None = None, code: str | None = None
) -> bytes:
    """OpenAI's error object, as one line."""
    error: dict[str, Any] = {"message": message, "type": error_type, "param": param, "code": code}
    return msgspec.json.encode({"error": error})


def google_error(refuse: Refuse) -> bytes:
    """Google's error object, google.rpc.Status in JSON."""
    kind = "type.googleapis.com/google.rpc."
    details: list[dict[str, Any]] = []
    if refuse.code is not None:
        info = {"reason": refuse.code, "domain": "googleapis.com"}
        details.append({"@type": f"{kind}ErrorInfo", **info})
    if refuse.retry_after is not None:
        details.append({"@type": f"{kind}RetryInfo", "retryDelay": f"{refuse.retry_after}s"})
    error: dict[str, Any] = {
        "code": refuse.status,
        "message": refuse.message,
        "status": refuse.error_type or _GOOGLE_STATUSES.get(refuse.status, "INTERNAL"),
    }
    return msgspec.json.encode({"error": error | ({"details": details} if details else {})})


_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

MALFORMED_JSON = Refuse(
    status=400,
    message="We could not parse the JSON body of your request. (HINT: This likely means you "
    "aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what "
    "was sent was not valid JSON.)",
)
NO_MODEL = Refuse(status=400, message="you must provide a model parameter")
NO_KEY = Refuse(
    status=401,
    message="You didn't provide an API key. You need to provide your API key in an Authorization "
    "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
)
WRONG_KEY = Refuse(
    status=401,
    message="Incorrect API key provided. You can find your API key in your dashboard.",
    code="invalid_api_key",
)


def missing(parameter: str) -> Refuse:
    return Refuse(
        status=400,
        message=f"Missing required parameter: '{parameter}'.",
        param=parameter,
        code="missing_required_parameter",
    )


def unknown_path(method: str, path: str) -> Refuse:
    return Refuse(status=404, message=f"Invalid URL ({method} {path})")


def unknown_model(model: str) -> Refuse:
    return Refuse(
        status=404,
        message=f"The model '{model}' does not exist",
        code="model_not_found",
        param="model",
    )
