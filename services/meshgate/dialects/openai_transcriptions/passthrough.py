"""Transcriptions on their way through: JSON, or text where the caller asks for text.

Facts: openai-python 2.x, `types/audio/transcription.py`, `transcription_verbose.py` and
`transcription_text_done_event.py`. Text in the formats `text`, `srt` and `vtt` is no JSON, and tells
no usage; the last two tell when the last word was said.
"""

import re

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import UNREADABLE, AnswerGlance, MalformedAnswerError
from meshgate.dialects.media_stream import EventTracker, MediaEvent
from meshgate.dialects.media_usage import Seconds, of_seconds, read_transcription
from meshgate.dialects.neutral import FinishReason, Usage

DONE_TYPE = "transcript.text.done"

_ENDS = frozenset({DONE_TYPE})
_CUE = re.compile(r"-->\s*(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[,.](\d{3})")


class Transcript(Struct):
    """A transcription in JSON."""

    text: str
    usage: Raw = Raw()
    duration: Seconds | None = None


_TRANSCRIPT = msgspec.json.Decoder(Transcript)
_EVENT = msgspec.json.Decoder(MediaEvent)


def glance(body: bytes) -> AnswerGlance:
    """Look at an answer.

    Raises:
        MalformedAnswerError: It is not what was said.
    """
    transcript = read(body)
    if isinstance(transcript, str):
        return AnswerGlance("", _of_cues(transcript), FinishReason.UNSPECIFIED)
    usage = read_transcription(transcript.usage)
    if usage is None and transcript.duration is not None:
        usage = of_seconds(transcript.duration)
    return AnswerGlance("", usage, FinishReason.UNSPECIFIED)


def read(body: bytes) -> Transcript | str:
    """An answer, which is an object or a text.

    Raises:
        MalformedAnswerError: It is neither.
    """
    try:
        if not body.lstrip().startswith(b"{"):
            return body.decode()
        return _TRANSCRIPT.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer is no transcription") from error


def stream(_has_events: bool) -> EventTracker:  # noqa: FBT001
    """Follow a stream."""
    return EventTracker(_ENDS, _event_usage)


def _event_usage(data: bytes) -> Usage | None:
    return read_transcription(_EVENT.decode(data).usage)


def _of_cues(text: str) -> Usage | None:
    """What subtitles tell: the sound is at least as long as to the end of the last."""
    last = None
    for last in _CUE.finditer(text):  # noqa: B007 - it is used after the loop
        pass
    if last is None:
        return None
    hours, minutes, seconds, thousandths = (int(digits or 0) for digits in last.groups())
    return of_seconds(hours * 3600 + minutes * 60 + seconds + thousandths / 1000)
