"""What Envoy itself answers, in the caller's dialect: the rows of its `local_reply_config`.

A local reply is one that no service made: the path is unknown, the body too large, nobody fit to
serve. The table says each once; `mappers` says it in the JSON of OpenAI, Anthropic or Google, as
google.rpc.Status, and for native gRPC as the plain `grpc-message` of a genuine status.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

RETRY_AFTER_SECONDS = 1

# google.rpc.Code
_INVALID_ARGUMENT, _DEADLINE_EXCEEDED, _NOT_FOUND, _PERMISSION_DENIED = 3, 4, 5, 7
_RESOURCE_EXHAUSTED, _OUT_OF_RANGE, _UNIMPLEMENTED, _INTERNAL = 8, 11, 12, 13
_UNAVAILABLE, _UNAUTHENTICATED = 14, 16


@dataclass(frozen=True, slots=True)
class LocalReply:
    """One thing that Envoy may have to say.

    Args:
        when: The filter of Envoy's access log language that recognizes it.
        rpc_code: The number of its google.rpc.Code.
        openai_type: The `type` of OpenAI's error.
        openai_code: The `code` of OpenAI's error.
        message: One sentence. Envoy fills in its %COMMANDS%.
    """

    when: Json
    rpc_code: int
    openai_type: str
    openai_code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class ReplyDialect:
    """The way one kind of client is spoken to.

    Args:
        when: Recognizes the client; None fits everyone.
        body: Makes Envoy's `body_format_override` for a reply.
    """

    when: Json | None
    body: Callable[[LocalReply], Json]


def mappers() -> list[Json]:
    """The rows of `local_reply_config`; Envoy takes the first that fits."""
    return [_mapper(reply, dialect) for reply in _REPLIES for dialect in _DIALECTS]


def _mapper(reply: LocalReply, dialect: ReplyDialect) -> Json:
    when = reply.when if dialect.when is None else _all_of(reply.when, dialect.when)
    mapper: dict[str, Any] = {"filter": when, "body_format_override": dialect.body(reply)}
    # A request that cannot even be parsed was given no id on its way in.
    headers = [_header_to_add("x-request-id", "%UNIQUE_ID%", "ADD_IF_ABSENT")]
    if reply.rpc_code in {_UNAVAILABLE, _RESOURCE_EXHAUSTED}:
        headers.append(_header_to_add("retry-after", str(RETRY_AFTER_SECONDS), "ADD_IF_ABSENT"))
    if reply.rpc_code == _UNAVAILABLE:
        mapper["status_code"] = 503
    return mapper | {"headers_to_add": headers}


def _header_to_add(name: str, value: str, action: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": action}


def _plain_body(reply: LocalReply) -> Json:
    return {"text_format_source": {"inline_string": reply.message}}


def _status_body(reply: LocalReply) -> Json:
    return _json_body({"code": reply.rpc_code, "message": reply.message, "details": []})


def _openai_body(reply: LocalReply) -> Json:
    error = {"message": reply.message, "type": reply.openai_type, "param": None}
    return _json_body({"error": error | {"code": reply.openai_code}})


def _anthropic_body(reply: LocalReply) -> Json:
    kind = _ANTHROPIC_TYPES.get(reply.rpc_code, "api_error")
    return _json_body({"type": "error", "error": {"type": kind, "message": reply.message}})


def _gemini_body(reply: LocalReply) -> Json:
    status = _GOOGLE_STATUSES[reply.rpc_code]
    # Envoy writes a number where a string is nothing but a command.
    code = "%RESPONSE_CODE%"
    return _json_body({"error": {"code": code, "message": reply.message, "status": status}})


def _json_body(value: Json) -> Json:
    return {"content_type": "application/json", "json_format": value}


def _all_of(*filters: Json) -> Json:
    return {"and_filter": {"filters": list(filters)}}


def _any_of(*filters: Json) -> Json:
    return {"or_filter": {"filters": list(filters)}}


def _header(name: str, **match: Any) -> Json:
    return {"header_filter": {"header": {"name": name, **match}}}


def _path_begins(prefix: str) -> Json:
    """The path that the client asked for, whatever the transcoder has made of it since."""
    match = {"prefix": prefix}
    return _any_of(
        _header(":path", string_match=match),
        _header("x-envoy-original-path", string_match=match),
    )


def _path_matches(regex: str) -> Json:
    match = {"safe_regex": {"regex": regex}}
    return _any_of(
        _header(":path", string_match=match),
        _header("x-envoy-original-path", string_match=match),
    )


def _flagged(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


def _status_is(status: int) -> Json:
    return _status("EQ", status)


def _status_from(status: int) -> Json:
    return _status("GE", status)


def _status(operator: str, status: int) -> Json:
    # Envoy wants a key under which the number could be changed while it runs.
    value = {"default_value": status, "runtime_key": f"local_reply.{operator}.{status}"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


# The transcoder makes every request one of gRPC, and then leaves the original path in a header.
_NATIVE_GRPC = _all_of(
    _header("content-type", string_match={"safe_regex": {"regex": r"application/grpc(\+.*)?"}}),
    _header("x-envoy-original-path", present_match=True, invert_match=True),
)
_TYPED_REST = _any_of(
    *(_path_begins(p) for p in ("/meshgate/v1/", "/admin/v1/", "/healthz", "/readyz"))
)

_ANTHROPIC_TYPES = {
    _INVALID_ARGUMENT: "invalid_request_error",
    _UNIMPLEMENTED: "invalid_request_error",
    _OUT_OF_RANGE: "request_too_large",
    _UNAUTHENTICATED: "authentication_error",
    _PERMISSION_DENIED: "permission_error",
    _NOT_FOUND: "not_found_error",
    _RESOURCE_EXHAUSTED: "rate_limit_error",
    _DEADLINE_EXCEEDED: "timeout_error",
    _UNAVAILABLE: "overloaded_error",
}
_GOOGLE_STATUSES = {
    _INVALID_ARGUMENT: "INVALID_ARGUMENT",
    _UNIMPLEMENTED: "UNIMPLEMENTED",
    _OUT_OF_RANGE: "INVALID_ARGUMENT",
    _UNAUTHENTICATED: "UNAUTHENTICATED",
    _PERMISSION_DENIED: "PERMISSION_DENIED",
    _NOT_FOUND: "NOT_FOUND",
    _RESOURCE_EXHAUSTED: "RESOURCE_EXHAUSTED",
    _DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    _UNAVAILABLE: "UNAVAILABLE",
    _INTERNAL: "INTERNAL",
}

_DIALECTS = (
    ReplyDialect(_NATIVE_GRPC, _plain_body),
    ReplyDialect(_TYPED_REST, _status_body),
    ReplyDialect(_path_begins("/v1/messages"), _anthropic_body),
    ReplyDialect(
        _any_of(_path_begins("/v1beta/"), _path_matches(r"/v1/models/.+:[a-zA-Z]+(\?.*)?")),
        _gemini_body,
    ),
    ReplyDialect(None, _openai_body),
)

_REQUEST = "invalid_request_error"
_SERVER = "server_error"
_URL = "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)% %PATH(NQ:ORIG_OR_PATH)%"

_REPLIES = (
    # Flags first: what they mean is more exact than the status. (Circuit breakers, no cluster.)
    LocalReply(
        _flagged("UO", "NC"),
        _UNAVAILABLE, _SERVER, "overloaded",
        "The gateway is overloaded; retry later.",
    ),
    # Cannot be reached, hung up, nobody healthy, reset here or there.
    LocalReply(
        _flagged("UF", "UC", "UH", "LR", "UR"),
        _UNAVAILABLE, _SERVER, "service_unavailable",
        "The gateway is not available at the moment; retry later.",
    ),
    LocalReply(
        _status_is(400),
        _INVALID_ARGUMENT, _REQUEST, "bad_request",
        "The request cannot be read: %LOCAL_REPLY_BODY% (%RESPONSE_CODE_DETAILS%)",
    ),
    LocalReply(
        _status_is(401),
        _UNAUTHENTICATED, "authentication_error", "invalid_api_key",
        "The credential is missing or not valid.",
    ),
    LocalReply(
        _status_is(403),
        _PERMISSION_DENIED, "permission_error", "forbidden",
        "This is not allowed.",
    ),
    LocalReply(
        _status_is(404),
        _NOT_FOUND, _REQUEST, "unknown_url",
        f"Unknown request URL: {_URL}.",
    ),
    LocalReply(
        _status_is(405),
        _UNIMPLEMENTED, _REQUEST, "method_not_allowed",
        f"The method does not fit the URL: {_URL}.",
    ),
    LocalReply(
        _status_is(408),
        _DEADLINE_EXCEEDED, "timeout_error", "request_timeout",
        "The request did not arrive in time.",
    ),
    LocalReply(
        _all_of(_status_is(413), _path_begins("/admin/v1/")),
        _OUT_OF_RANGE, _REQUEST, "request_too_large",
        "The request body is larger than 1 MiB.",
    ),
    LocalReply(
        _status_is(413),
        _OUT_OF_RANGE, _REQUEST, "request_too_large",
        "The request body is larger than 64 MiB.",
    ),
    LocalReply(
        _status_is(429),
        _RESOURCE_EXHAUSTED, "rate_limit_error", "rate_limit_exceeded",
        "Too many requests; retry later.",
    ),
    LocalReply(
        _status_is(431),
        _INVALID_ARGUMENT, _REQUEST, "headers_too_large",
        "The request headers are larger than 60 KB, or more than 100.",
    ),
    LocalReply(
        _status_is(503),
        _UNAVAILABLE, _SERVER, "service_unavailable",
        "The gateway is not available at the moment; retry later.",
    ),
    LocalReply(
        _status_is(504),
        _DEADLINE_EXCEEDED, _SERVER, "timeout",
        "No answer came in time.",
    ),
    # The cause is in the access log, under the request id.
    LocalReply(
        _status_from(500),
        _INTERNAL, _SERVER, None,
        "The server had an error while processing your request.",
    ),
    LocalReply(
        _status_from(400),
        _INVALID_ARGUMENT, _REQUEST, None,
        "The request cannot be served: %LOCAL_REPLY_BODY% (%RESPONSE_CODE_DETAILS%)",
    ),
)  # fmt: skip
