"""Plain answers of choices on their way through: only what the gateway must know is looked at."""

from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import UNREADABLE, AnswerGlance, MalformedAnswerError
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_choices.finish_reason import read_finish_reason


class Choice(Struct, kw_only=True, gc=False):
    """One choice; a dialect adds what makes it one of its own."""

    finish_reason: str | None = None


C = TypeVar("C", bound=Choice)


class PlainAnswer(Struct, Generic[C], gc=False):
    """A plain answer."""

    choices: Annotated[list[C], Meta(min_length=1)]
    model: str | None = None
    usage: Raw = Raw()
    service_tier: object = None


def glance(body: bytes, decoder: msgspec.json.Decoder[PlainAnswer[C]], name: str) -> AnswerGlance:
    """Look at a plain answer; `name` is what it is in this dialect.

    Raises:
        MalformedAnswerError: It is none.
    """
    try:
        if not body.isascii():
            body.decode()  # the decoder does not look into what it skips
        answer = decoder.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError(f"the upstream's answer is not a {name}") from error
    return AnswerGlance(
        answer.model or "",
        usage_object.read(answer.usage, answer.service_tier),
        read_finish_reason(answer.choices[0].finish_reason),
    )
