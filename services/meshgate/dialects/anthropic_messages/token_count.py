"""How many input tokens a request takes: `POST /v1/messages/count_tokens`.

The request is one for a message without the members that bound or steer the answer; the answer is a
number. Nothing is written, and nothing is billed: neither read nor written tokens count as used.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import (
    UNREADABLE,
    AnswerGlance,
    AnswerStream,
    MalformedAnswerError,
    RequestHead,
)
from meshgate.dialects.anthropic_messages import passthrough
from meshgate.dialects.json_text import JsonCut
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_api.request_body import decode, missing
from meshgate.runtime.errors import UnsupportedError

_ModelName = Annotated[str, Meta(max_length=512)]


class _Head(Struct, gc=False):
    model: _ModelName
    messages: Annotated[list[Raw], Meta(min_length=1)]


class _Answer(Struct, gc=False):
    input_tokens: Annotated[int, Meta(ge=0)]


_HEAD = msgspec.json.Decoder(_Head)
_ANSWER = msgspec.json.Decoder(_Answer)


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs: nothing is to be written.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    head = decode(_HEAD, body)
    if not head.model:
        raise missing("model")
    return RequestHead(head.model, max_output_tokens=0, is_free=True)


def retarget(body: bytes, model: str) -> bytes:
    """Replace the model's name.

    Raises:
        InvalidRequestError: The body is not a JSON object.
    """
    return passthrough.retarget(body, model)


def glance(body: bytes) -> AnswerGlance:
    """Look at an answer: it has used nothing, whatever it counts.

    Raises:
        MalformedAnswerError: It is no count.
    """
    try:
        _ANSWER.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer is not a count of tokens") from error
    return AnswerGlance("", Usage(), FinishReason.STOP)


def write(input_tokens: int) -> bytes:
    """Write an answer."""
    return msgspec.json.encode({"input_tokens": input_tokens})


def no_stream(*, created: int, include_usage: bool) -> AnswerStream:
    """Refuse: a number is not streamed."""
    del created, include_usage
    raise UnsupportedError("counts of tokens are not streamed", field="stream")


def cut_answer(body: bytes) -> JsonCut:
    """An answer, in which there is no text."""
    return JsonCut(body, iter(()))


def same(body: bytes) -> bytes:
    """An answer of which everything may be shown."""
    return body


def no_texts(_body: bytes) -> list[str]:
    """What an answer says: nothing."""
    return []
