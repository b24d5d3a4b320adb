"""Embeddings on their way through, where caller and upstream both speak this dialect."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import UNREADABLE, AnswerGlance, MalformedAnswerError
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_api.model_name import retarget

__all__ = ["glance", "retarget"]


class _Embedding(Struct, gc=False):
    embedding: Raw


class _Answer(Struct, gc=False):
    data: Annotated[list[_Embedding], Meta(min_length=1)]
    model: str | None = None
    usage: Raw = Raw()
    service_tier: object = None


_ANSWER = msgspec.json.Decoder(_Answer)


def glance(body: bytes) -> AnswerGlance:
    """Look at an answer; it has no finish reason.

    Raises:
        MalformedAnswerError: It is not a list of embeddings.
    """
    try:
        if not body.isascii():
            body.decode()
        answer = _ANSWER.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer holds no embeddings") from error
    usage = usage_object.read(answer.usage, answer.service_tier)
    return AnswerGlance(answer.model or "", usage, FinishReason.UNSPECIFIED)
