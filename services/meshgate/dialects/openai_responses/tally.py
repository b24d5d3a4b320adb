"""Counts streamed responses as they pass to the caller, and ends them."""

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_responses import response_object, wire
from meshgate.dialects.openai_responses.bounds import EVENT_LIMIT_BYTES
from meshgate.dialects.openai_responses.event_writer import IN_PROGRESS, EventWriter
from meshgate.dialects.openai_responses.status import COMPLETED, INCOMPLETE, incomplete_reason
from meshgate.dialects.openai_responses.told_items import ToldItems
from meshgate.dialects.tallied_text import DEFAULT_LIMIT_BYTES, TextTally

_TOO_LONG = "the answer is ended, and larger than what may be kept of one to say it again"


class _Event(Struct):
    """What an event may hold."""

    type: str = ""
    sequence_number: int = -1
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    item: Raw = Raw()
    delta: Raw = Raw()
    annotation: Raw = Raw()
    part: wire.Content | None = None
    response: Raw = Raw()


_EVENT = msgspec.json.Decoder(_Event)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_STRING = msgspec.json.Decoder(str)
_PART_EVENTS = frozenset(
    f"response.{part}_part.{what}"
    for part in ("content", "reasoning_summary")
    for what in ("added", "done")
)


class OutputTally(TextTally):
    """Counts one stream.

    What it ends has to be told again as a whole. Where that is more than may be kept, the end is an
    error: one that told less would pass for all of the answer.

    Args:
        answer_id: The stream's id, as far as its events do not say.
        served_model: Likewise.
        created: Likewise, in seconds since 1970.
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
        super().__init__(limit_bytes)
        self._identity = response_object.identity(answer_id, served_model, created)
        self._response: dict[str, Raw] | None = None
        self._next_number = 0
        self._limit_bytes = limit_bytes
        self._events = sse.EventReader(EVENT_LIMIT_BYTES)
        self._items = ToldItems(limit_bytes)

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk: whole events; never raises for what it holds."""
        try:
            events = self._events.feed(chunk)
        except MalformedAnswerError:
            return
        for event in events:
            try:
                self._take_event(_EVENT.decode(event.data), event.name)
            except UNREADABLE:
                continue  # adds nothing

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """The events that end the stream."""
        if self.ended:
            return b""
        events = EventWriter(self._next_number)
        written = []
        if self._response is None:
            begun = response_object.write(self._identity, IN_PROGRESS)
            written += [
                events.write("response.created", response=begun),
                events.write("response.in_progress", response=begun),
            ]
        if self._items.is_too_large:
            return b"".join([*written, _failure(events)])
        why = incomplete_reason(reason)
        status = COMPLETED if why is None else INCOMPLETE
        output, closing = self._items.closed(events, status)
        told = usage if include_usage else None
        end = response_object.write(
            self._identity, status, output, incomplete_reason=why, usage=told
        )
        if self._response is not None:
            end = {**self._response, **{name: end[name] for name in _OF_THE_END}}
        return b"".join([*written, closing, events.write(f"response.{status}", response=end)])

    def _take_event(self, event: _Event, name: bytes) -> None:
        self._next_number = max(self._next_number, event.sequence_number + 1)
        if event.type in wire.CREATED:
            self._identify(event.response)
        elif event.type in wire.ENDS | wire.FAILURES or name == b"error":
            self.ended = True
        elif event.type == "response.output_item.added":
            self._note(event, self._items.begin(event.output_index, bytes(event.item)))
        elif event.type == "response.output_item.done":
            self._note(event, self._items.end(event.output_index, bytes(event.item)))
        else:
            self._take_part(event)

    def _take_part(self, event: _Event) -> None:
        """Take note of what an item tells."""
        index = event.output_index
        if event.type in _PART_EVENTS and event.part is not None:
            place = event.summary_index if "summary" in event.type else event.content_index
            noted = self._items.begin_part if event.type.endswith("added") else self._items.end_part
            noted(index, place, event.part.type)
        elif event.type == "response.output_text.annotation.added":
            self._items.cite(index, event.content_index, event.annotation)
        elif event.type.endswith(".delta") and bytes(event.delta).startswith(b'"'):
            self._add(event, _STRING.decode(event.delta))

    def _identify(self, response: Raw) -> None:
        if self._response is None and bytes(response).startswith(b"{"):
            self._response = _MEMBERS.decode(bytes(response))

    def _add(self, event: _Event, text: str) -> None:
        stem = event.type.removesuffix(".delta")
        place = event.summary_index if "summary" in stem else event.content_index
        self._text.add((event.output_index, stem, place), text)
        self._items.add(event.output_index, stem, place, text)

    def _note(self, event: _Event, more: Iterator[tuple[str, str]]) -> None:
        """Count what was told of an item in no other way."""
        for key, text in more:
            self._text.add((event.output_index, key), text)


# What changes of a response from its beginning to its end.
_OF_THE_END = ("status", "output", "incomplete_details", "usage")


def _failure(events: EventWriter) -> bytes:
    error = {"message": _TOO_LONG, "type": "server_error", "param": None, "code": "server_error"}
    told = {name: error[name] for name in ("code", "message", "param")}
    return events.write("error", **told, error=error)
