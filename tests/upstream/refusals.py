"""Error answers: OpenAI's JSON, and what stands in for it when things are worse."""

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class ErrorForm:
    """How an API tells of errors, and what else its answers have in common.

    Args:
        body: Writes the body of an error answer.
        event: Writes an error inside a stream, from its message, type and code.
        id_header: The header that names an answer.
        headers: What else comes with every answer.
        ends_with_done: Whether a stream ends with `[DONE]`.
        media_type: Of the body of an error answer.
        has_retry_after: Whether a header says when to come back; the body does otherwise.
    """

    body: Callable[[Refuse], bytes]
    event: Callable[[str, str, str | None], bytes]
    id_header: str
    headers: Headers
    ends_with_done: bool
    media_type: str = "application/json"
    has_retry_after: bool = True


def refusal(refuse: Refuse, form: "ErrorForm") -> tuple[Headers, bytes]:
    """The headers (without content-length) and the body of an error answer."""
    is_told = refuse.retry_after is not None and form.has_retry_after
    retry = [("retry-after", refuse.retry_after or "")] if is_told else []
    media_type, body = _body(refuse, form)

    return [("content-type", media_type), *retry], body


def _body(refuse: Refuse, form: ErrorForm) -> tuple[str, bytes]:
    if refuse.body == "html":
        return "text/html", HTML
    if refuse.body == "text":
        return "text/plain", refuse.message.encode()
    if refuse.body == "empty":
        return "text/plain", b""
    return form.media_type, form.body(refuse)


def _openai_body(refuse: Refuse) -> bytes:
    error = error_json(
        refuse.message,
        refuse.error_type or _TYPES.get(refuse.status, "server_error"),
        param=refuse.param,
        code=refuse.code or _CODES.get(refuse.status),
    )
    return msgspec.json.format(error, indent=2)


def error_json(
    message: str, error_type: str, *, param: str | None = None, code: str | None = None
) -> bytes:
    """OpenAI's error object, as one line."""
    error: dict[str, Any] = {"message": message, "type": error_type, "param": param, "code": code}
    return msgspec.json.encode({"error": error})


OPENAI = ErrorForm(
    body=_openai_body,
    event=lambda message, error_type, code: error_json(message, error_type, code=code),
    id_header="x-request-id",
    headers=[("openai-version", "2020-10-01"), ("openai-processing-ms", "1")],
    ends_with_done=True,
)

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
