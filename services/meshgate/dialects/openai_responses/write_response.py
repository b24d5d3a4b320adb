"""Writes responses from the neutral form: whole answers, and streams as they come.

A thought is written as a summary, which all clients show. An item ends when another begins, but for
calls: some upstreams tell several at a time, so these end with the answer.
"""

import sys
from collections.abc import Iterable

import msgspec

from meshgate.dialects.answer_parts import text_bytes
from meshgate.dialects.answers import AnswerTooLongError
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Citation,
    CitationDelta,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
)
from meshgate.dialects.openai_responses import annotations, response_object, thought
from meshgate.dialects.openai_responses.bounds import TEXT_LIMIT_BYTES
from meshgate.dialects.openai_responses.event_writer import IN_PROGRESS, EventWriter
from meshgate.dialects.openai_responses.output_items import Item, ItemKind, PartKind
from meshgate.dialects.openai_responses.status import COMPLETED, INCOMPLETE, incomplete_reason
from meshgate.dialects.retelling import events_of

_PREFIXES: dict[ItemKind, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
}


def write(response: ChatResponse, *, created: int) -> bytes:
    """Write a whole answer; `created` is in seconds since 1970.

    Raises:
        MalformedAnswerError: The answer holds what this dialect cannot express.
    """
    writer = StreamWriter(created=created, include_usage=True, limit_bytes=sys.maxsize)
    writer.write(events_of(response))
    return msgspec.json.encode(writer.response)


class StreamWriter:
    """Writes one streamed answer.

    Args:
        created: Seconds since 1970.
        include_usage: Whether the usage is told; callers of this dialect always want it.
        limit_bytes: The most text that is kept, for the end to say again.
    """

    def __init__(
        self, *, created: int, include_usage: bool, limit_bytes: int = TEXT_LIMIT_BYTES
    ) -> None:
        self.response: dict[str, object] = {}
        self._include_usage = include_usage
        self._bytes_left = limit_bytes
        self._identity = response_object.identity("", "", created)
        self._events = EventWriter()
        self._items: list[Item] = []
        self._calls: dict[int, Item] = {}
        self._current: Item | None = None
        self._statuses: dict[int, str] = {}

    def write(self, events: Iterable[ChatEvent]) -> bytes:
        """Write the next events.

        Raises:
            AnswerTooLongError: The answer is larger than what may be kept of one.
        """
        return b"".join(self._event(event) for event in events)

    def _event(self, event: ChatEvent) -> bytes:
        match event:
            case Started():
                written = self._start(event)
            case TextDelta(text):
                written = self._say("output_text", text)
            case RefusalDelta(text):
                written = self._say("refusal", text)
            case CitationDelta(citation):
                written = self._cite(citation)
            case ReasoningDelta():
                written = self._think(event)
            case ToolCallDelta():
                written = self._call(event)
            case _:
                written = self._end(event)
        return written

    def _start(self, event: Started) -> bytes:
        created = self._identity.created
        self._identity = response_object.identity(event.id, event.served_model, created)
        response = response_object.write(self._identity, IN_PROGRESS)
        return b"".join(
            self._events.write(name, response=response)
            for name in ("response.created", "response.in_progress")
        )

    def _say(self, kind: PartKind, text: str) -> bytes:
        self._keep(text)
        opening, item = self._speaking(kind)
        return opening + self._events.text(item, item.parts[-1], text)

    def _speaking(self, kind: PartKind) -> tuple[bytes, Item]:
        """A message whose last part is of a kind, and what begins them."""
        opening, item = self._opened("message")
        last = item.parts[-1] if item.parts else None
        if last is None or last.kind != kind:
            if last is not None:
                opening += self._events.close_part(item, last)
            opening += self._events.open_part(item, kind)
        return opening, item

    def _cite(self, citation: Citation) -> bytes:
        self._keep(citation.uri + citation.title)
        opening, item = self._speaking("output_text")
        part = item.parts[-1]
        written = annotations.write(citation, part.length)
        return opening + self._events.annotation(item, part, written)

    def _think(self, event: ReasoningDelta) -> bytes:
        self._keep(event.text)
        written, item = self._opened("reasoning", event.id)
        if event.text:
            if not item.parts:
                written += self._events.open_part(item, "summary_text")
            written += self._events.text(item, item.parts[-1], event.text)
        if event.signature or event.id:
            item.encrypted = thought.encrypted_content(
                event.signature, event.origin, is_redacted=event.is_redacted
            )
            self._keep(item.encrypted)
            written += self._close_current()
        return written

    def _call(self, event: ToolCallDelta) -> bytes:
        self._keep(event.id + event.name + event.arguments_fragment)
        written = b""
        item = self._calls.get(event.index)
        if item is None:
            written = self._close_current()
            item = self._new("custom_tool_call" if event.is_custom else "function_call")
            item.call_id, item.name = event.id, event.name
            self._calls[event.index] = item
            written += self._events.open_item(item)
        if event.arguments_fragment:
            written += self._events.arguments(item, event.arguments_fragment)
        return written

    def _opened(self, kind: ItemKind, item_id: str = "") -> tuple[bytes, Item]:
        """An item of a kind that goes on, or one that begins, and what begins it."""
        if self._current is not None and self._current.kind == kind:
            return b"", self._current
        written = self._close_current()
        item = self._current = self._new(kind, item_id)
        return written + self._events.open_item(item), item

    def _new(self, kind: ItemKind, item_id: str = "") -> Item:
        index = len(self._items)
        own = item_id
        if not own or any(item.id == own for item in self._items):
            own = f"{_PREFIXES[kind]}_{self._identity.stem}_{index}"
        item = Item(kind, own, index)
        self._items.append(item)
        return item

    def _close_current(self, status: str = COMPLETED) -> bytes:
        item, self._current = self._current, None
        return b"" if item is None else self._close(item, status)

    def _close(self, item: Item, status: str) -> bytes:
        self._statuses[item.index] = status
        return self._events.close_item(item, status)

    def _end(self, event: Finished) -> bytes:
        reason = incomplete_reason(event.reason)
        status = COMPLETED if reason is None else INCOMPLETE
        written = []
        for item in self._items:
            if item.is_open:
                is_last = item is self._items[-1]
                written.append(self._close(item, status if is_last else COMPLETED))
        self._current = None
        self.response = response_object.write(
            self._identity,
            status,
            [item.json(self._statuses[item.index]) for item in self._items],
            incomplete_reason=reason,
            usage=event.usage if self._include_usage else None,
        )
        written.append(self._events.write(f"response.{status}", response=self.response))
        return b"".join(written)

    def _keep(self, text: str) -> None:
        self._bytes_left -= text_bytes(text)
        if self._bytes_left < 0:
            raise AnswerTooLongError("the answer is larger than what may be kept of one")
