"""Reads batchEmbedContents answers into the neutral form."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import AnswerGlance
from meshgate.dialects.gemini_generate import usage as usage_metadata
from meshgate.dialects.gemini_generate.answers import decoded
from meshgate.dialects.neutral import EmbeddingsResponse, FinishReason


class _Vector(Struct, gc=False):
    values: list[float]


class _Answer(Struct, rename="camel", gc=False):
    embeddings: Annotated[list[_Vector], Meta(min_length=1)]
    usage_metadata: Raw = Raw()


class _RawVector(Struct, gc=False):
    values: Raw


class _Glance(Struct, rename="camel", gc=False):
    embeddings: Annotated[list[_RawVector], Meta(min_length=1)]
    usage_metadata: Raw = Raw()


_ANSWER = msgspec.json.Decoder(_Answer)
_GLANCE = msgspec.json.Decoder(_Glance)


def read(body: bytes) -> EmbeddingsResponse:
    """Read an answer, which does not name its model.

    Raises:
        MalformedAnswerError: It holds no embeddings.
    """
    answer = decoded(body, _ANSWER)
    return EmbeddingsResponse(
        served_model="",
        vectors=tuple(tuple(vector.values) for vector in answer.embeddings),
        usage=usage_metadata.read(answer.usage_metadata),
    )


def glance(body: bytes) -> AnswerGlance:
    """Look at an answer on its way through.

    Raises:
        MalformedAnswerError: It holds no embeddings.
    """
    answer = decoded(body, _GLANCE)
    return AnswerGlance("", usage_metadata.read(answer.usage_metadata), FinishReason.UNSPECIFIED)
