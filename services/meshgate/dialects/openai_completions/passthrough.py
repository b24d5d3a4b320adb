"""Completions on their way through, where caller and upstream both speak this dialect.

Bytes are passed on as they are; only what the gateway must know or change is looked at. The chunks
of a stream have the frame of chat completions, and are followed in the same way.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import AnswerGlance, MalformedAnswerError, RequestHead
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_api.model_name import retargeted
from meshgate.dialects.openai_api.output_bound import write_max_tokens
from meshgate.dialects.openai_chat.passthrough import StreamTracker
from meshgate.dialects.openai_choices.finish_reason import read_finish_reason

__all__ = ["StreamTracker", "glance", "retarget"]


class _Choice(Struct, gc=False):
    text: str
    finish_reason: str | None = None


class _Completion(Struct, gc=False):
    choices: Annotated[list[_Choice], Meta(min_length=1)]
    model: str | None = None
    usage: Raw = Raw()


_COMPLETION = msgspec.json.Decoder(_Completion)
_ENCODER = msgspec.json.Encoder()


def retarget(body: bytes, model: str, head: RequestHead, output_cap: int | None = None) -> bytes:
    """Send a body to `model`, as with chat completions. This API knows no bound but `max_tokens`.

    Raises:
        InvalidRequestError: The body is not a JSON object.
    """
    members = retargeted(body, model, head)
    if output_cap is not None:
        write_max_tokens(members, output_cap)
    return _ENCODER.encode(members)


def glance(body: bytes) -> AnswerGlance:
    """Look at a plain answer.

    Raises:
        MalformedAnswerError: It is not a completion.
    """
    try:
        if not body.isascii():
            body.decode()  # the decoder does not look into what it skips
        completion = _COMPLETION.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedAnswerError("the upstream's answer is not a completion") from error
    return AnswerGlance(
        completion.model or "",
        usage_object.read(completion.usage),
        read_finish_reason(completion.choices[0].finish_reason),
    )
