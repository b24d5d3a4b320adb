"""Reads Cohere embeddings answers into the neutral form."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.cohere_chat import usage
from meshgate.dialects.neutral import EmbeddingsResponse


class _Vectors(Struct):
    of_floats: Annotated[list[tuple[float, ...]], Meta(min_length=1)] = msgspec.field(name="float")


class _Answer(Struct):
    embeddings: _Vectors
    meta: Raw = Raw()


_ANSWER = msgspec.json.Decoder(_Answer)


def read(body: bytes) -> EmbeddingsResponse:
    """Read an answer; it does not say which model gave it. Its usage is what was billed.

    Raises:
        MalformedAnswerError: It holds no vectors of floats.
    """
    try:
        answer = _ANSWER.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer holds no embeddings") from error
    return EmbeddingsResponse(
        served_model="",
        vectors=tuple(answer.embeddings.of_floats),
        usage=usage.read(answer.meta),
    )
