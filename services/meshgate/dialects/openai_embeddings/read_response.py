"""Reads embeddings answers into the neutral form."""

import base64
import binascii
import sys
from array import array
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.neutral import EmbeddingsResponse
from meshgate.dialects.openai_api import usage as usage_object

_FLOAT_BYTES = 4


class _Embedding(Struct):
    index: int
    embedding: str | list[float]


class _Answer(Struct):
    data: Annotated[list[_Embedding], Meta(min_length=1)]
    model: str | None = None
    usage: Raw = Raw()
    service_tier: object = None


_ANSWER = msgspec.json.Decoder(_Answer)


def read(body: bytes) -> EmbeddingsResponse:
    """Read an answer.

    Raises:
        MalformedAnswerError: It is not a list of embeddings.
    """
    try:
        answer = _ANSWER.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer holds no embeddings") from error
    data = sorted(answer.data, key=lambda item: item.index)
    if [item.index for item in data] != list(range(len(data))):
        raise MalformedAnswerError("the upstream's embeddings are misnumbered")
    return EmbeddingsResponse(
        served_model=answer.model or "",
        vectors=tuple(_vector(item.embedding) for item in data),
        usage=usage_object.read(answer.usage, answer.service_tier),
    )


def _vector(embedding: str | list[float]) -> tuple[float, ...]:
    if isinstance(embedding, list):
        return tuple(embedding)
    try:
        packed = base64.b64decode(embedding, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedAnswerError("the upstream's embedding is no base64") from error
    if len(packed) % _FLOAT_BYTES:
        raise MalformedAnswerError("the upstream's embedding is no row of floats")
    floats = array("f", packed)
    if sys.byteorder == "big":
        floats.byteswap()  # the wire is little-endian
    return tuple(floats)
