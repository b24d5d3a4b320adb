"""Speech on its way through.

Facts: openai-openapi, `CreateSpeechResponseStreamEvent`: `speech.audio.delta` with base64 in `audio`,
and one `speech.audio.done` with `usage`.
"""

import msgspec

from meshgate.dialects.answers import AnswerGlance, AnswerStream
from meshgate.dialects.media_stream import ByteStream, EventTracker, MediaEvent
from meshgate.dialects.media_usage import read_speech
from meshgate.dialects.neutral import Usage
from meshgate.runtime.errors import UnsupportedError

_ENDS = frozenset({"speech.audio.done"})
_EVENT = msgspec.json.Decoder(MediaEvent)


def stream(has_events: bool) -> AnswerStream:  # noqa: FBT001
    """Follow an answer."""
    return EventTracker(_ENDS, _usage) if has_events else ByteStream()


def glance(body: bytes) -> AnswerGlance:
    """Refuse: speech is streamed."""
    raise UnsupportedError("speech is streamed")


def _usage(data: bytes) -> Usage | None:
    return read_speech(_EVENT.decode(data).usage)
