"""Moderations on their way through."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import UNREADABLE, AnswerGlance, MalformedAnswerError
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_api import usage as usage_object


class _Answer(Struct, gc=False):
    results: Annotated[list[Raw], Meta(min_length=1)]
    model: str | None = None
    usage: Raw = Raw()


_ANSWER = msgspec.json.Decoder(_Answer)


def glance(body: bytes) -> AnswerGlance:
    """Look at an answer. OpenAI tells no usage; others that have this API do.

    Raises:
        MalformedAnswerError: It holds no judgements.
    """
    try:
        answer = _ANSWER.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer holds no judgements") from error
    usage = usage_object.read(answer.usage)
    return AnswerGlance(answer.model or "", usage, FinishReason.UNSPECIFIED)
