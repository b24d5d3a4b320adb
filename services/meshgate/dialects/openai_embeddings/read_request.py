"""Reads embeddings requests: only the head, or all of it into the neutral form."""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.neutral import EmbeddingsRequest, EncodingFormat
from meshgate.dialects.openai_api import service_tier
from meshgate.dialects.openai_api.request_body import decode, missing
from meshgate.dialects.openai_embeddings.fields import EXPRESSED
from meshgate.runtime.errors import InvalidRequestError

_ModelName = Annotated[str, Meta(max_length=512)]
_Tokens: TypeAlias = list[int]


class _Head(Struct, gc=False):
    model: _ModelName
    input: Raw
    service_tier: object = None


class _Request(Struct):
    model: _ModelName
    input: str | Annotated[list[str | int | _Tokens], Meta(min_length=1)]
    encoding_format: EncodingFormat | None = None
    dimensions: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


_HEAD = msgspec.json.Decoder(_Head)
_REQUEST = msgspec.json.Decoder(_Request)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs; the rest is only checked to be JSON.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
    """
    head = decode(_HEAD, body)
    if not head.model:
        raise missing("model")
    if not bytes(head.input).startswith((b'"', b"[")):
        raise _wrong_input()
    tier = service_tier.read(head.service_tier)
    return RequestHead(head.model, max_output_tokens=0, service_tier=tier)


def read(body: bytes) -> EmbeddingsRequest:
    """Read all of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    members = decode(_MEMBERS, body)
    request = decode(_REQUEST, body)
    if not request.model:
        raise missing("model")
    extra = {name: value for name, value in members.items() if name not in EXPRESSED}
    return EmbeddingsRequest(
        model=request.model,
        inputs=_inputs(request.input),
        encoding_format=request.encoding_format or EncodingFormat.FLOAT,
        dimensions=request.dimensions,
        extra_json=msgspec.json.encode(extra) if extra else b"",
        extra_dialect="openai_embeddings" if extra else "",
    )


def _inputs(
    given: str | list[str | int | _Tokens],
) -> tuple[str, ...] | tuple[tuple[int, ...], ...]:
    if isinstance(given, str):
        return (given,)
    texts = tuple(item for item in given if isinstance(item, str))
    tokens = tuple(item for item in given if isinstance(item, int))
    lists = tuple(tuple(item) for item in given if isinstance(item, list))
    if len(texts) == len(given):
        return texts
    if len(tokens) == len(given):
        return (tokens,)
    if len(lists) == len(given):
        return lists
    raise _wrong_input()


def _wrong_input() -> InvalidRequestError:
    return InvalidRequestError(
        "Invalid type for 'input': expected a string, an array of strings, an array of integers,"
        " or an array of arrays of integers.",
        field="input",
    )
