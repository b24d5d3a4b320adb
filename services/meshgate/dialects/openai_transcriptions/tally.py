"""Counting of streamed transcriptions."""

import msgspec

from meshgate.dialects import sse
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_transcriptions.passthrough import DONE_TYPE
from meshgate.dialects.openai_transcriptions.segments import read_event
from meshgate.dialects.tallied_text import DEFAULT_LIMIT_BYTES, TextTally


class TranscriptTally(TextTally):
    """Counts what was said, and knows how to end it."""

    def __init__(self) -> None:
        super().__init__(DEFAULT_LIMIT_BYTES)
        self._events = sse.EventReader()

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk that goes to the caller: whole events."""
        for event in self._events.feed(chunk):
            try:
                told = read_event(event)
            except MalformedAnswerError:
                continue  # whoever follows the stream says so
            self._text.add(0, told.delta)
            if told.type == DONE_TYPE:
                self.ended = True
                if not self.text_bytes:
                    self._text.add(0, told.text)

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """The event that ends the stream with what was said; the API knows no reason to end."""
        del reason, usage, include_usage
        text = "".join(self.texts())
        return sse.write(sse.Event(msgspec.json.encode({"type": DONE_TYPE, "text": text})))
