"""The items of a stream that was told so far, to end it early."""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from meshgate.dialects.answer_parts import text_bytes
from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.openai_responses import status
from meshgate.dialects.openai_responses.event_writer import EventWriter
from meshgate.dialects.openai_responses.output_items import Item, ItemKind, Part, PartKind
from meshgate.dialects.openai_responses.wire import OutputItem

_ITEM = msgspec.json.Decoder(OutputItem)
_KINDS: dict[str, ItemKind] = {
    "message": "message",
    "reasoning": "reasoning",
    "function_call": "function_call",
    "custom_tool_call": "custom_tool_call",
}
_PARTS: dict[str, PartKind] = {
    "response.output_text": "output_text",
    "response.refusal": "refusal",
    "response.reasoning_text": "reasoning_text",
    "response.reasoning_summary_text": "summary_text",
}
_PARTS_BY_NAME: dict[str, PartKind] = {kind: kind for kind in _PARTS.values()}
_ARGUMENTS = frozenset({"response.function_call_arguments", "response.custom_tool_call_input"})


class ToldItems:
    """Gathers the items of one stream.

    Args:
        limit_bytes: How much is kept of them; then nothing is, and `is_too_large` is true.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._bytes_left = limit_bytes
        self._open: dict[int, Item] = {}
        self._strange: dict[int, bytes] = {}
        self._done: dict[int, bytes] = {}

    @property
    def is_too_large(self) -> bool:
        return self._bytes_left < 0

    def begin(self, index: int, raw: bytes) -> Iterator[tuple[str, str]]:
        """Take note of an item that begins, and say what it tells already: keys and texts."""
        item = _read(raw)
        kind = _KINDS.get(item.type)
        if kind is None:
            self._keep(len(raw))
            self._strange[index] = raw
            return
        begun = Item(kind, item.id or "", index, name=item.name or "", call_id=item.call_id or "")
        self._open.setdefault(index, begun)
        if item.name:
            yield "name", item.name

    def begin_part(self, index: int, place: int, kind: str) -> None:
        """Take note of a part that begins."""
        item, known = self._open.get(index), _PARTS_BY_NAME.get(kind)
        if item is not None and known is not None:
            _part(item, known, place)

    def end_part(self, index: int, place: int, kind: str) -> None:
        """Take note of a part that is over."""
        item, known = self._open.get(index), _PARTS_BY_NAME.get(kind)
        if item is not None and known is not None:
            _part(item, known, place).is_open = False

    def add(self, index: int, stem: str, place: int, text: str) -> None:
        """Take note of more of a text; `stem` is the event's type without its end."""
        item = self._open.get(index)
        if item is None or not self._keep(text_bytes(text)):
            return
        if stem in _ARGUMENTS:
            item.arguments += text.encode(errors="replace")
        elif stem in _PARTS:
            _part(item, _PARTS[stem], place).add(text)

    def cite(self, index: int, place: int, annotation: Raw) -> None:
        """Take note of what a text cites."""
        item = self._open.get(index)
        if item is not None and self._keep(len(bytes(annotation))):
            # What stands in the event does not outlive it.
            kept = Raw(bytes(annotation))
            _part(item, "output_text", place).annotations.append(kept)

    def end(self, index: int, raw: bytes) -> Iterator[tuple[str, str]]:
        """Take note of an item that is whole, and say what of it was not told before."""
        item = _read(raw)
        open_item = self._open.pop(index, None)
        self._strange.pop(index, None)
        if self._keep(len(raw)):
            self._done[index] = raw
        if open_item is None or not (open_item.parts or open_item.arguments):
            yield from _texts(item, is_new=open_item is None)

    def closed(self, events: EventWriter, last_status: str) -> tuple[list[object], bytes]:
        """All items as they stand in the output, and the events that end those which are open."""
        output: list[object] = []
        written = []
        indices = sorted({*self._open, *self._done, *self._strange})
        for index in indices:
            item = self._open.get(index)
            if item is not None:
                ended = last_status if index == indices[-1] else status.COMPLETED
                written.append(events.close_item(item, ended))
                output.append(item.json(ended))
                continue
            raw = Raw(self._done.get(index) or self._strange[index])
            if index in self._strange:
                done = events.write("response.output_item.done", output_index=index, item=raw)
                written.append(done)
            output.append(raw)
        return output, b"".join(written)

    def _keep(self, size_bytes: int) -> bool:
        """Take room for so much; whether there is any left."""
        self._bytes_left -= size_bytes
        if self._bytes_left < 0:
            for kept in (self._open, self._strange, self._done):
                kept.clear()
        return not self.is_too_large


def _read(raw: bytes) -> OutputItem:
    try:
        return _ITEM.decode(raw)
    except UNREADABLE:
        return OutputItem()


def _part(item: Item, kind: PartKind, place: int) -> Part:
    """The part at a place; a new one, where nothing was said there yet."""
    member = "summary" if kind == "summary_text" else "content"
    parts = item.parts_of(member)
    if 0 <= place < len(parts):
        return parts[place]
    part = Part(kind)
    item.parts.append(part)
    return part


def _texts(item: OutputItem, *, is_new: bool) -> Iterator[tuple[str, str]]:
    for member in (item.content, item.summary):
        for content in member or ():
            yield "text", content.text or content.refusal or ""
    if item.type in status.CALLS:
        yield "arguments", (item.name or "" if is_new else "") + item.argument_text
