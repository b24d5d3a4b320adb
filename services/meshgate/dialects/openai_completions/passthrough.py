"""Completions on their way through, where caller and upstream both speak this dialect.

Bytes are passed on as they are; only what the gateway must know or change is looked at.
"""

import msgspec

from meshgate.dialects.answers import AnswerGlance, RequestHead
from meshgate.dialects.openai_api.model_name import retargeted
from meshgate.dialects.openai_api.output_bound import write_max_tokens
from meshgate.dialects.openai_choices import plain_answer
from meshgate.dialects.openai_choices.plain_answer import Choice, PlainAnswer
from meshgate.dialects.openai_choices.stream_tracker import StreamTracker

__all__ = ["StreamTracker", "glance", "retarget"]


class _Choice(Choice, kw_only=True, gc=False):
    text: str


_COMPLETION = msgspec.json.Decoder(PlainAnswer[_Choice])
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
    return plain_answer.glance(body, _COMPLETION, "completion")
