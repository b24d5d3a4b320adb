"""What an upstream can do wrong, and which kind of failure it is.

Retries and fallbacks are decided on the kind; the client is shown the message. An upstream's own
words are passed on only where they are about the request: elsewhere they may name accounts,
addresses or credentials of the gateway.
"""

import enum
import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Protocol

import msgspec

from meshgate.dialects.answers import (
    UNREADABLE,
    AnswerError,
    AnswerTooLongError,
    CutStreamError,
    UpstreamErrorDetail,
    UpstreamErrorEvent,
)
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api.errors import detail_of
from meshgate.provider.phases import Phase, PhaseTimeoutError
from meshgate.provider.upstream import AnswerTooLargeError, ConnectFailedError, UpstreamCallError


class FailureKind(enum.Enum):
    """What retries and fallbacks are decided on; the words of `FailureKind` in the contract."""

    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER_ERROR = "server_error"
    CONTEXT_WINDOW = "context_window"
    CONTENT_POLICY = "content_policy"
    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    NOT_FOUND = "not_found"


OF_THE_REQUEST = frozenset(
    {FailureKind.CONTEXT_WINDOW, FailureKind.CONTENT_POLICY, FailureKind.INVALID_REQUEST}
)
"""The upstream fares well: it was the request that it would not take."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What an upstream did wrong.

    Attributes:
        kind: What retries and fallbacks are decided on.
        message: Fit to be shown to the client.
        upstream_status: The HTTP status; 0 where there was none.
        retry_after_seconds: When the upstream wants to be asked again, if it said so.
        code: The upstream's own code, or nothing.
        field: The field of the request that the upstream points at, or nothing.
        usage: What the attempt consumed all the same, if known.
        seconds: How long it took.
    """

    kind: FailureKind
    message: str
    upstream_status: int = 0
    retry_after_seconds: float | None = None
    code: str = ""
    field: str = ""
    usage: Usage | None = None
    seconds: float = 0.0


class AttemptFailedError(Exception):
    """An attempt came to nothing; `failure` says why. Never leaves this service."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind.value)
        self.failure = failure


class Detail(Protocol):
    """What an upstream said of an error, in an answer or in an event of a stream."""

    @property
    def message(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def code(self) -> str: ...

    @property
    def param(self) -> str: ...


OUT_OF_QUOTA = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_error", "402"}
)

# What OpenAI's responses say of a picture that they cannot take.
_IMAGE_WORDS = (
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
)
# AWS's for requests that were not proven, with whatever status: what it says then names the access key
# and the headers that were signed.
# https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
_UNPROVEN_AT_AWS = (
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
_KIND_OF_WORD = {
    "rate_limit_exceeded": FailureKind.RATE_LIMITED,
    "rate_limit_error": FailureKind.RATE_LIMITED,
    "billing_error": FailureKind.RATE_LIMITED,
    "rate_limited": FailureKind.RATE_LIMITED,  # Mistral's
    "insufficient_quota": FailureKind.RATE_LIMITED,
    "billing_hard_limit_reached": FailureKind.RATE_LIMITED,
    "overloaded": FailureKind.OVERLOADED,
    "overloaded_error": FailureKind.OVERLOADED,
    "service_unavailable": FailureKind.OVERLOADED,
    "timeout": FailureKind.TIMEOUT,
    "timeout_error": FailureKind.TIMEOUT,
    "server_is_overloaded": FailureKind.OVERLOADED,
    "slow_down": FailureKind.RATE_LIMITED,
    "server_error": FailureKind.SERVER_ERROR,
    "api_error": FailureKind.SERVER_ERROR,
    "context_length_exceeded": FailureKind.CONTEXT_WINDOW,
    "exceed_context_size_error": FailureKind.CONTEXT_WINDOW,
    "content_filter": FailureKind.CONTENT_POLICY,
    "content_policy_violation": FailureKind.CONTENT_POLICY,
    "invalid_prompt": FailureKind.CONTENT_POLICY,
    "bio_policy": FailureKind.CONTENT_POLICY,
    "cyber_policy": FailureKind.CONTENT_POLICY,
    "image_content_policy_violation": FailureKind.CONTENT_POLICY,
    **dict.fromkeys(_IMAGE_WORDS, FailureKind.INVALID_REQUEST),
    "invalid_request_error": FailureKind.INVALID_REQUEST,
    "request_too_large": FailureKind.INVALID_REQUEST,
    "invalid_api_key": FailureKind.AUTHENTICATION,
    "authentication_error": FailureKind.AUTHENTICATION,
    "permission_error": FailureKind.AUTHENTICATION,
    "model_not_found": FailureKind.NOT_FOUND,
    "not_found_error": FailureKind.NOT_FOUND,
    # Google's, of google.rpc.Code and of the reasons of its ErrorInfo.
    "RESOURCE_EXHAUSTED": FailureKind.RATE_LIMITED,
    "UNAVAILABLE": FailureKind.OVERLOADED,
    "DEADLINE_EXCEEDED": FailureKind.TIMEOUT,
    "INTERNAL": FailureKind.SERVER_ERROR,
    "INVALID_ARGUMENT": FailureKind.INVALID_REQUEST,
    "FAILED_PRECONDITION": FailureKind.INVALID_REQUEST,
    "UNAUTHENTICATED": FailureKind.AUTHENTICATION,
    "PERMISSION_DENIED": FailureKind.AUTHENTICATION,
    "API_KEY_INVALID": FailureKind.AUTHENTICATION,
    "NOT_FOUND": FailureKind.NOT_FOUND,
    # Bedrock's, in streams; in answers they begin with a capital letter, and have a status.
    "throttlingException": FailureKind.RATE_LIMITED,
    "serviceUnavailableException": FailureKind.OVERLOADED,
    "internalServerException": FailureKind.SERVER_ERROR,
    "modelStreamErrorException": FailureKind.SERVER_ERROR,
    "validationException": FailureKind.INVALID_REQUEST,
    **dict.fromkeys(_UNPROVEN_AT_AWS, FailureKind.AUTHENTICATION),
}
_KIND_OF_STATUS = {
    400: FailureKind.INVALID_REQUEST,
    401: FailureKind.AUTHENTICATION,
    402: FailureKind.RATE_LIMITED,
    403: FailureKind.AUTHENTICATION,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    413: FailureKind.INVALID_REQUEST,
    422: FailureKind.INVALID_REQUEST,
    424: FailureKind.SERVER_ERROR,  # Bedrock's for a model that failed
    429: FailureKind.RATE_LIMITED,
    498: FailureKind.AUTHENTICATION,  # Cohere's for a key that does not hold
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
    529: FailureKind.OVERLOADED,
}
# Servers that are compatible with OpenAI's say it in words only: vLLM, llama.cpp, TGI, Ollama.
_TOO_LONG = re.compile(
    r"maximum context length|exceeds? the (available |model's )?context|context window"
    r"|input token count .{0,40}exceeds the maximum"  # Gemini
    r"|prompt is too long|input is too long|too many tokens: |inputs? tokens? \+ .{0,20}max_new_tokens",
    re.IGNORECASE,
)
# Clouds name what was asked for by the account it belongs to: AWS's ARNs, and Google's resources.
_ACCOUNTS = re.compile(
    r"(?P<kind>\barn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:|\bprojects/)(?P<account>[^:/\s\"'`]+)"
)
_MESSAGES = {
    FailureKind.RATE_LIMITED: "the upstream's rate limit for this gateway is reached",
    FailureKind.OVERLOADED: "the upstream is overloaded",
    FailureKind.TIMEOUT: "the upstream gave up on the request after too long a time",
    FailureKind.CONNECTION: "the connection to the upstream broke",
    FailureKind.SERVER_ERROR: "the upstream failed",
    FailureKind.AUTHENTICATION: "the upstream refuses the gateway's credential",
    FailureKind.NOT_FOUND: "the upstream does not have the model",
}
_PHASES = {
    Phase.CONNECT: "no connection to the upstream came about in time",
    Phase.FIRST_TOKEN: "the upstream did not begin to answer in time",
    Phase.BETWEEN_TOKENS: "the upstream stopped in the middle of its answer",
    Phase.TOTAL: "the upstream did not answer in time",
}


def of_answer(status: int, detail: UpstreamErrorDetail, retry_after: float | None) -> Failure:
    """The failure that an answer with another status than 200 is."""
    kind = _KIND_OF_STATUS.get(status)
    if kind is None:
        refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        kind = FailureKind.INVALID_REQUEST if refused else FailureKind.SERVER_ERROR
    if kind is FailureKind.INVALID_REQUEST:
        kind = _kind_of_refusal(detail)
    return _failure(kind, detail, status, retry_after)


def of_event(event: UpstreamErrorEvent, usage: Usage | None) -> Failure:
    """The failure that an error inside a stream is."""
    return replace(_of_words(event), usage=usage)


def of_good_status(body: bytes) -> Failure:
    """The failure that an answer with status 200 is which is not what was asked for."""
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE:
        answer = None
    if isinstance(answer, dict) and answer.get("error"):
        return _of_words(detail_of(answer))
    return malformed()


def malformed(usage: Usage | None = None) -> Failure:
    """The failure that an answer is which cannot be understood."""
    message = "the upstream's answer cannot be understood"
    return Failure(FailureKind.SERVER_ERROR, message, usage=usage)


def of_error(error: Exception, usage: Usage | None = None) -> Failure:
    """The failure that is behind an error of the upstream client or of a dialect."""
    if isinstance(error, PhaseTimeoutError):
        return Failure(FailureKind.TIMEOUT, _PHASES[error.phase], usage=usage)
    if isinstance(error, ConnectFailedError):
        return Failure(FailureKind.CONNECTION, "the upstream cannot be reached")
    if isinstance(error, AnswerTooLargeError | AnswerTooLongError):
        return Failure(FailureKind.SERVER_ERROR, "the upstream's answer is too large")
    if isinstance(error, CutStreamError | UpstreamCallError):
        return Failure(FailureKind.CONNECTION, _MESSAGES[FailureKind.CONNECTION], usage=usage)
    return malformed(usage)


UPSTREAM_ERRORS = (UpstreamCallError, PhaseTimeoutError, AnswerError)
"""What `of_error` takes."""


def _kind_of_refusal(detail: Detail) -> FailureKind:
    """What a 400, 413 or 422 is about: some servers use them for what has a status of its own."""
    kind = _kind_of_words(detail)
    if kind in {*OF_THE_REQUEST, FailureKind.NOT_FOUND, FailureKind.AUTHENTICATION}:
        return kind
    return FailureKind.INVALID_REQUEST


def _of_words(detail: Detail) -> Failure:
    """The failure that is told without a status."""
    status = int(detail.code) if re.fullmatch(r"[45]\d\d", detail.code) else 0
    kind = _KIND_OF_STATUS.get(status)
    if kind is None or kind is FailureKind.INVALID_REQUEST:
        kind = _kind_of_words(detail) or kind or FailureKind.SERVER_ERROR
    return _failure(kind, detail, status, None)


def _kind_of_words(detail: Detail) -> FailureKind | None:
    if _TOO_LONG.search(detail.message):
        return FailureKind.CONTEXT_WINDOW
    return _KIND_OF_WORD.get(detail.code) or _KIND_OF_WORD.get(detail.type)


def _failure(kind: FailureKind, detail: Detail, status: int, retry_after: float | None) -> Failure:
    message = _MESSAGES.get(kind, "")
    if kind in OF_THE_REQUEST:
        message = _without_accounts(detail.message) or "the upstream refuses the request"
    elif kind is FailureKind.RATE_LIMITED and _is_out_of_quota(detail, status):
        message = "the quota of the gateway's account at the upstream is used up"
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        message = "the upstream redirects, which the gateway does not follow"
    return Failure(kind, message, status, retry_after, detail.code, _field_of(kind, detail))


def _without_accounts(message: str) -> str:
    return _ACCOUNTS.sub(r"\g<kind>***", message)


def _field_of(kind: FailureKind, detail: Detail) -> str:
    return detail.param if kind in OF_THE_REQUEST else ""


def _is_out_of_quota(detail: Detail, status: int) -> bool:
    return not OUT_OF_QUOTA.isdisjoint((detail.code, detail.type, str(status)))
