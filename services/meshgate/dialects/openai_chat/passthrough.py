"""Chat completions on their way through, where caller and upstream both speak this dialect.

Bytes are passed on as they are; only what the gateway must know or change is looked at.
"""

import msgspec
from msgspec import Struct

from meshgate.dialects.answers import AnswerGlance
from meshgate.dialects.openai_api.model_name import retarget
from meshgate.dialects.openai_choices import plain_answer
from meshgate.dialects.openai_choices.plain_answer import Choice, PlainAnswer
from meshgate.dialects.openai_choices.stream_tracker import StreamTracker

__all__ = ["StreamTracker", "glance", "retarget"]


class _Message(Struct, gc=False):
    pass


class _Choice(Choice, kw_only=True, gc=False):
    message: _Message


_COMPLETION = msgspec.json.Decoder(PlainAnswer[_Choice])


def glance(body: bytes) -> AnswerGlance:
    """Look at a plain answer.

    Raises:
        MalformedAnswerError: It is not a chat completion.
    """
    return plain_answer.glance(body, _COMPLETION, "chat completion")
