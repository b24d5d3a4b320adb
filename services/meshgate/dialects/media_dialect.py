"""What the media dialects have in common: they pass through, or are refused.

Pictures, sounds, judgements and rankings have no neutral form: only an upstream that speaks the same
API can answer, and what it says is passed on as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from meshgate.dialects.answers import AnswerGlance, AnswerStream, RequestHead
from meshgate.dialects.counting import CountableText
from meshgate.dialects.metered_media import MediaTally
from meshgate.dialects.openai_api import model_name
from meshgate.dialects.segments import Cut, InspectedStream
from meshgate.runtime.errors import UnsupportedError


@dataclass(frozen=True)
class MediaDialect:
    """One API.

    Attributes:
        read_head: Reads what routing needs of a request. Raises InvalidRequestError.
        retarget: Sends a request to a model of that name. Raises InvalidRequestError.
        glance: Looks at a plain answer. Raises MalformedAnswerError.
        countable_text: What a request says, beside what its head says is asked for.
        answer_texts: What a plain answer says, for a tokenizer.
        cut_request: Takes the texts out of a request. Raises InvalidRequestError.
        cut_answer: Takes the texts out of a plain answer. Raises MalformedAnswerError.
        blocked_answer: Writes the same answer with nothing said in it.
        stream: Begins to follow a stream. It is told whether that is one of events, where the answer
            may also be one of bytes: the head's `include_usage` says so.
        inspected: Begins to take a stream apart.
        tally: Begins to count one.
    """

    read_head: Callable[[bytes], RequestHead]
    retarget: Callable[[bytes, str, RequestHead], bytes]
    glance: Callable[[bytes], AnswerGlance]
    countable_text: Callable[[bytes], CountableText]
    answer_texts: Callable[[bytes], list[str]]
    cut_request: Callable[[bytes], Cut]
    cut_answer: Callable[[bytes], Cut]
    blocked_answer: Callable[[bytes], bytes]
    stream: Callable[[bool], AnswerStream]
    inspected: Callable[[], InspectedStream]
    tally: Callable[[], MediaTally]


def retarget(body: bytes, model: str, head: RequestHead) -> bytes:
    """Replace the model's name in a JSON body, and nothing else: there is no usage to be asked for.

    Raises:
        InvalidRequestError: The body is not a JSON object.
    """
    return model_name.retarget(body, model, replace(head, stream=False))


def no_stream(_has_events: bool = True) -> AnswerStream:  # noqa: FBT001, FBT002
    """Refuse: this API knows no streams."""
    raise UnsupportedError("this API knows no streams", field="stream")
