"""Reads batchEmbedContents requests: only the head, or all of it into the neutral form."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.gemini_generate.member_names import Shape, with_camel_case
from meshgate.dialects.gemini_generate.read_request import PREFIX
from meshgate.dialects.gemini_generate.wire import CONTENT, Content
from meshgate.dialects.neutral import EmbeddingsRequest
from meshgate.dialects.openai_api.request_body import decode, missing, unsupported
from meshgate.runtime.errors import InvalidRequestError

REQUESTS: Shape = {"requests": {"content": CONTENT}}
_ModelName = Annotated[str, Meta(max_length=512 + len(PREFIX))]
_UNSPECIFIED = "TASK_TYPE_UNSPECIFIED"


class _NamedRequest(Struct, gc=False):
    content: Raw
    model: str | None = None


class _Head(Struct, gc=False):
    model: _ModelName
    requests: Annotated[list[_NamedRequest], Meta(min_length=1)]


class _EmbedRequest(Struct, rename="camel", forbid_unknown_fields=True):
    content: Content
    model: str | None = None
    task_type: str | None = None
    title: str | None = None
    output_dimensionality: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class _Request(Struct, forbid_unknown_fields=True):
    model: str
    requests: list[_EmbedRequest]


_HEAD = msgspec.json.Decoder(_Head)
_REQUEST = msgspec.json.Decoder(_Request)


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs.

    Raises:
        InvalidRequestError: The body is malformed, or one of its requests is for another model.
    """
    head = decode(_HEAD, body)
    name = head.model.removeprefix(PREFIX)
    if not name:
        raise missing("model")
    for at, request in enumerate(head.requests):
        if request.model is not None and request.model.removeprefix(PREFIX) != name:
            field = f"requests[{at}].model"
            raise InvalidRequestError(f"'{field}' is not the model of the URL.", field=field)
    return RequestHead(name, max_output_tokens=0)


def read(body: bytes) -> EmbeddingsRequest:
    """Read all of a request.

    Raises:
        InvalidRequestError: The body is malformed.
        UnsupportedError: It asks for what others cannot do, such as two tasks at once.
    """
    head = read_head(body)
    requests = decode(_REQUEST, with_camel_case(body, REQUESTS)).requests
    first = requests[0]
    for at, request in enumerate(requests):
        if request.title:
            raise unsupported(f"requests[{at}].title")
        if (request.task_type, request.output_dimensionality) != (
            first.task_type,
            first.output_dimensionality,
        ):
            raise unsupported(f"requests[{at}].taskType")
    task = first.task_type if first.task_type != _UNSPECIFIED else None
    return EmbeddingsRequest(
        model=head.model,
        inputs=tuple(
            _text(request.content, f"requests[{at}].content") for at, request in enumerate(requests)
        ),
        dimensions=first.output_dimensionality,
        task=(task or "").lower(),
    )


def _text(content: Content, at: str) -> str:
    """The text of a content; how Google joins several, nobody says."""
    parts = content.parts or []
    if len(parts) != 1:
        raise unsupported(f"{at}.parts")
    if parts[0].text is None:
        raise unsupported(f"{at}.parts[0]")
    return parts[0].text
