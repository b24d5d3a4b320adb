"""What the media dialects have in common: they pass through, or are refused.

Pictures, sounds, judgements and rankings have no neutral form: only an upstream that speaks the same
API can answer, and what it says is passed on as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from meshgate.dialects.answers import AnswerGlance, AnswerStream, RequestHead
from meshgate.dialects.counting import CountableText
from meshgate.dialects.json_text import JsonCut
from meshgate.dialects.metered_media import MediaTally
from meshgate.dialects.openai_api import model_name
from meshgate.dialects.output_tally import OutputTally
from meshgate.dialects.request_texts import cut_request
from meshgate.dialects.segments import Cut, InspectedStream
from meshgate.runtime.errors import UnsupportedError


def _retarget(body: bytes, model: str, head: RequestHead) -> bytes:
    """Replace the model's name in a JSON body, and nothing else: there is no usage to be asked for.

    Raises:
        InvalidRequestError: The body is not a JSON object.
    """
    return model_name.retarget(body, model, replace(head, stream=False))


def _no_stream(_has_events: bool = True) -> AnswerStream:  # noqa: FBT001, FBT002
    """Refuse: this API knows no streams."""
    raise UnsupportedError("this API knows no streams", field="stream")


def _no_texts(_body: bytes) -> list[str]:
    return []


def cut_nothing(body: bytes) -> JsonCut:
    """Take nothing out: an answer that has no text."""
    return JsonCut(body, iter(()))


def as_it_is(body: bytes) -> bytes:
    """Never asked for: what has no text is not blocked."""
    return body


@dataclass(frozen=True)
class MediaDialect:
    """One API.

    What is left out is that of an API in JSON which knows no streams. What guardrails see of answers
    is always said.

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
    glance: Callable[[bytes], AnswerGlance]
    countable_text: Callable[[bytes], CountableText]
    cut_answer: Callable[[bytes], Cut]
    blocked_answer: Callable[[bytes], bytes]
    inspected: Callable[[], InspectedStream]
    retarget: Callable[[bytes, str, RequestHead], bytes] = _retarget
    answer_texts: Callable[[bytes], list[str]] = _no_texts
    cut_request: Callable[[bytes], Cut] = cut_request
    stream: Callable[[bool], AnswerStream] = _no_stream
    tally: Callable[[], OutputTally] = MediaTally
