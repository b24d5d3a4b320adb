"""Counting of streamed transcriptions."""

import msgspec

from meshgate.dialects import sse
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.metered_media import MediaTally
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_transcriptions.passthrough import DONE_TYPE
from meshgate.dialects.openai_transcriptions.segments import read_event
from meshgate.dialects.tallied_text import TalliedText


class TranscriptTally(MediaTally):
    """Counts what was said, and knows how to end it."""

    def __init__(self) -> None:
        self._text = TalliedText()
        self._events = sse.EventReader()
        self._has_ended = False

    @property
    def text_bytes(self) -> int:
        return self._text.size_bytes

    @property
    def kept_bytes(self) -> int:
        return self._text.kept_bytes

    @property
    def ended(self) -> bool:
        return self._has_ended

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk that goes to the caller: whole events."""
        for event in self._events.feed(chunk):
            try:
                told = read_event(event)
            except MalformedAnswerError:
                continue  # whoever follows the stream says so
            self._text.add(0, told.delta)
            if told.type == DONE_TYPE:
                self._has_ended = True
                if not self._text.size_bytes:
                    self._text.add(0, told.text)

    def texts(self) -> list[str]:
        return self._text.texts()

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """The event that ends the stream with what was said; the API knows no reason to end."""
        del reason, usage, include_usage
        text = "".join(self.texts())
        return sse.write(sse.Event(msgspec.json.encode({"type": DONE_TYPE, "text": text})))
