"""What responses and their events look like, read leniently: upstreams send much that is not known."""

from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import (
    UNREADABLE,
    MalformedAnswerError,
    UpstreamErrorDetail,
    UpstreamErrorEvent,
)
from meshgate.dialects.openai_api.errors import detail_of

T = TypeVar("T")


class Content(Struct, gc=False):
    """A part of a message or of a thought."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Raw] | None = None


_TEXT = msgspec.json.Decoder(str)


class OutputItem(Struct):
    """An item of the output."""

    type: str = ""
    id: str | None = None
    content: list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: Raw = Raw()

    @property
    def argument_text(self) -> str:
        """What a tool is given."""
        if self.type == "function_call":
            return self.arguments or ""
        given = bytes(self.input)
        return decoded(_TEXT, given) if given.startswith(b'"') else ""


class IncompleteDetails(Struct, gc=False):
    """Why a response is incomplete."""

    reason: str | None = None


class Response(Struct):
    """A response; its output is optional, as the first events of a stream may lack it."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[OutputItem] | None = None
    incomplete_details: IncompleteDetails | None = None
    usage: Raw = Raw()
    service_tier: object = None
    error: Raw = Raw()


CREATED = frozenset({"response.created", "response.queued", "response.in_progress"})
"""The events before anything is said: the model may still fail without having begun."""

ENDS = frozenset({"response.completed", "response.incomplete"})
"""The events that end a response well."""

FAILURES = frozenset({"response.failed", "error"})


class _Type(Struct, gc=False):
    type: str = ""
    error: Raw = Raw()


class _Failed(Struct):
    response: Response


_TYPE = msgspec.json.Decoder(_Type)
_FAILED = msgspec.json.Decoder(_Failed)
_ANY: msgspec.json.Decoder[object] = msgspec.json.Decoder(object)
_NO_ERROR = (b"", b"null")


def decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode what an upstream has sent.

    Raises:
        MalformedAnswerError: It is not what it should be.
    """
    try:
        if not data.isascii():
            data.decode()  # the decoder does not look into what it skips
        return decoder.decode(data)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer is not a response") from error


def type_of(data: bytes, name: bytes = b"") -> str:
    """The type of an event; `error` for one that tells an error in the way of other APIs.

    Where it does not say, its name does.

    Raises:
        MalformedAnswerError: It is no object.
    """
    event = decoded(_TYPE, data)
    if name == b"error" or (not event.type and bytes(event.error) not in _NO_ERROR):
        return "error"
    return event.type or name.decode(errors="replace")


def error_in(event_type: str, data: bytes) -> UpstreamErrorEvent:
    """The error that an event of FAILURES tells.

    Raises:
        MalformedAnswerError: It cannot be read.
    """
    told = decoded(_ANY, data)
    if event_type == "response.failed" and isinstance(told, dict):
        response = told.get("response")
        told = response.get("error") if isinstance(response, dict) else None
    elif isinstance(told, dict) and "error" in told and not told["error"]:
        del told["error"]
    return of_detail(detail_of(told))


def of_detail(detail: UpstreamErrorDetail) -> UpstreamErrorEvent:
    """The error of a detail; `type` is the event's own word, where there is no other."""
    return UpstreamErrorEvent(
        message=detail.message or "the upstream reported an error",
        type="" if detail.type == "error" else detail.type,
        code=detail.code,
        param=detail.param,
    )


def error_of_response(raw: Raw) -> bool:
    """Whether a response tells an error."""
    return bytes(raw) not in _NO_ERROR
