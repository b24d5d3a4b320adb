"""Counts streamed messages as they pass to the caller, and ends them."""

import msgspec
from msgspec import Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.anthropic_messages import events, signing, stop_reason, usage
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.tallied_text import DEFAULT_LIMIT_BYTES, TextTally


class _Block(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    name: str | None = None


class _Delta(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None


class _Event(Struct, gc=False):
    type: str
    index: int | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None


_EVENT = msgspec.json.Decoder(_Event)


class OutputTally(TextTally):
    """Counts one stream.

    Args:
        answer_id: The stream's id, should it end before it has begun.
        served_model: Likewise.
        created: Seconds since 1970, of which nothing is said here.
        limit_bytes: How much text is kept.
    """

    def __init__(
        self,
        *,
        answer_id: str,
        served_model: str,
        created: int,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        del created
        super().__init__(limit_bytes)
        self._answer_id = answer_id
        self._served_model = served_model
        self._started = False
        self._open: dict[int, bool] = {}
        self._is_told = False
        self._events = sse.EventReader()

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk: whole events."""
        for event in self._events.feed(chunk):
            self._take(event.data)

    def ending(self, reason: FinishReason, told: Usage | None, *, include_usage: bool) -> bytes:
        """The events that end the stream; they always tell the usage, as far as it is known."""
        del include_usage
        if self.ended:
            return b""
        written = []
        if not self._started:
            opening = usage.write(Usage())
            written.append(events.message_start(self._answer_id, self._served_model, opening))
        for index, lacks_signature in self._open.items():
            if lacks_signature:
                delta: dict[str, object] = {
                    "type": "signature_delta",
                    "signature": signing.UNSIGNED,
                }
                written.append(events.block_delta(index, delta))
            written.append(events.block_stop(index))
        if not self._is_told:
            counts = usage.write_counts(told or Usage())
            written.append(events.message_delta(stop_reason.write(reason), "", counts))
        return b"".join([*written, events.MESSAGE_STOP])

    def _take(self, data: bytes) -> None:
        """Take note of an event, read leniently: what cannot be read adds nothing."""
        try:
            event = _EVENT.decode(data)
        except UNREADABLE:
            return
        index = event.index or 0
        match event.type:
            case "message_start":
                self._started = True
            case "content_block_start":
                self._begin(index, event.content_block or _Block())
            case "content_block_delta" if event.delta is not None:
                self._add(index, event.delta)
            case "content_block_stop":
                self._open.pop(index, None)
            case "message_delta":
                self._is_told = True
            case "message_stop" | "error":
                self.ended = True

    def _begin(self, index: int, block: _Block) -> None:
        self._open[index] = block.type == "thinking"
        for text in (block.name, block.text, block.thinking):
            if text:
                self._text.add(index, text)

    def _add(self, index: int, delta: _Delta) -> None:
        if delta.type == "signature_delta":
            self._open[index] = False
        for text in (delta.text, delta.thinking, delta.partial_json):
            if text:
                self._text.add(index, text)
