"""Streamed responses, taken apart and written again with what may be shown of their texts.

A text is told three times: in pieces, at the end of its part and item, and at the end of the response.
What is told again is what was shown of the pieces; what was not told in pieces is, in one. For that
all that is shown is kept, within bounds.
"""

import msgspec

from meshgate.dialects import sse
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.json_text import Found, Path, in_members, locator
from meshgate.dialects.openai_responses import wire
from meshgate.dialects.openai_responses.bounds import EVENT_LIMIT_BYTES
from meshgate.dialects.openai_responses.inspected_event import (
    Channel,
    InspectedEvent,
    Numbers,
    Place,
)
from meshgate.dialects.openai_responses.segments import (
    in_annotation,
    in_item,
    in_part,
    logprobs_in_item,
)
from meshgate.dialects.segments import SegmentKind

_CONTENT = msgspec.json.Decoder(dict[str, object])
_PARTS = frozenset({"response.content_part.done", "response.reasoning_summary_part.done"})
# By the events' names without their ends: where the text stands in the item.
_MEMBERS = {
    "response.output_text": "content",
    "response.refusal": "content",
    "response.reasoning_text": "content",
    "response.reasoning_summary_text": "summary",
    "response.function_call_arguments": "arguments",
    "response.mcp_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
    "response.code_interpreter_call_code": "code",
}
_OF_ITEMS = {
    ("function_call", "arguments"): "response.function_call_arguments",
    ("mcp_call", "arguments"): "response.mcp_call_arguments",
    ("custom_tool_call", "input"): "response.custom_tool_call_input",
    ("code_interpreter_call", "code"): "response.code_interpreter_call_code",
}
_OF_PARTS = {
    ("message", "content", "text"): "response.output_text",
    ("message", "content", "refusal"): "response.refusal",
    ("reasoning", "content", "text"): "response.reasoning_text",
    ("reasoning", "summary", "text"): "response.reasoning_summary_text",
}
_TEXT_MEMBERS = ("text", "refusal", "arguments", "input", "code")
_NOT_SAID = frozenset(
    {"type", "sequence_number", "item_id", "output_index", "obfuscation", "partial_image_b64"}
    | {"delta", "logprobs", "agent"}
)
_SOUND = "response.audio.delta"


class InspectedStream:
    """Takes one stream apart."""

    def __init__(self) -> None:
        self._events = sse.EventReader(EVENT_LIMIT_BYTES)
        self._numbers = Numbers()
        self._channels: dict[tuple[int, Place], Channel] = {}
        self._items: dict[int, bytes] = {}
        self._ended: set[int] = set()
        self._wholes = 0
        self._bytes_left = EVENT_LIMIT_BYTES

    def take(self, chunk: bytes) -> list[InspectedEvent]:
        """The events of a chunk.

        Raises:
            MalformedAnswerError: One of them cannot be understood, or more has come than may be kept.
        """
        return [self._taken(event) for event in self._events.feed(chunk)]

    def closing(self) -> InspectedEvent:
        """What ends all channels that are open."""
        event = InspectedEvent(self._numbers, None, {}, is_end=True)
        self._close_all(event)
        return event

    def _taken(self, event: sse.Event) -> InspectedEvent:
        content = wire.decoded(_CONTENT, event.data)
        kind = _word(content.get("type"))
        is_end = kind in wire.ENDS or kind in wire.FAILURES
        taken = InspectedEvent(self._numbers, event, content, is_end=is_end)
        if kind in wire.CREATED or kind in wire.FAILURES or kind == _SOUND:
            if kind in wire.FAILURES:
                self._close_all(taken)
        elif kind in wire.ENDS:
            self._end(taken, content)
        elif kind.startswith("response.output_item."):
            self._item(taken, kind, content)
        else:
            self._part(taken, kind, content)
        return taken

    def _part(self, taken: InspectedEvent, kind: str, content: dict[str, object]) -> None:
        """An event about a text of an item, or one that nobody knows."""
        stem, _, last = kind.rpartition(".")
        if content.get("logprobs"):
            taken.betrays(("logprobs",))
        if last == "delta" and isinstance(content.get("delta"), str):
            channel = self._channel(_number(content, "output_index"), stem, _place(stem, content))
            channel.item_id = _word(content.get("item_id"))
            text = _word(content.get("delta"))
            if not channel.is_open:
                raise MalformedAnswerError("the upstream adds to a text that is over")
            self._receive(channel, text)
            taken.adds(channel, text)
        elif kind in _PARTS or (last == "done" and stem in _MEMBERS):
            self._end_part(taken, kind, content)
        else:
            readers = {"annotation": in_annotation, "part": in_item}
            for found in in_members(content, (), _NOT_SAID, readers):
                self._whole(taken, found)

    def _end_part(self, taken: InspectedEvent, kind: str, content: dict[str, object]) -> None:
        """The end of a text, or of the part that holds it."""
        holder, path = (content.get("part"), ("part",)) if kind in _PARTS else (content, ())
        if not isinstance(holder, dict):
            return
        if holder.get("logprobs"):
            taken.betrays((*path, "logprobs"))
        index = _number(content, "output_index")
        for member in _TEXT_MEMBERS:
            text = holder.get(member)
            if isinstance(text, str):
                stem = self._stem(kind, content, member)
                channel = self._channel(index, stem, _place(stem, content))
                channel.item_id = channel.item_id or _word(content.get("item_id"))
                self._repeat(taken, channel, text, (*path, member))
        if kind in _PARTS:
            others = {name: it for name, it in holder.items() if name not in _TEXT_MEMBERS}
            for found in in_part(others, path):
                self._whole(taken, found)

    def _stem(self, kind: str, content: dict[str, object], member: str) -> str:
        if kind not in _PARTS:
            return kind.removesuffix(".done")
        if "summary_index" in content:
            return "response.reasoning_summary_text"
        known = self._channels.get(
            (_number(content, "output_index"), ("content", _number(content, "content_index")))
        )
        if known is not None:
            return known.stem
        return "response.refusal" if member == "refusal" else "response.output_text"

    def _item(self, taken: InspectedEvent, kind: str, content: dict[str, object]) -> None:
        index, item = _number(content, "output_index"), content.get("item")
        if kind == "response.output_item.done":
            self._end_item(taken, index, item, ("item",))
            if isinstance(item, dict):
                taken.keeps(index, self._items)
                self._ended.add(index)
        else:
            for found in in_item(item, ("item",)):
                self._whole(taken, found)

    def _end_item(self, taken: InspectedEvent, index: int, item: object, path: Path) -> None:
        """All of an item: texts that came in pieces, and others."""
        kind = _word(item.get("type")) if isinstance(item, dict) else ""
        for found in in_item(item, path):
            where = found.path[len(path) :]
            stem = _stem_of(kind, where)
            if stem is None:
                self._whole(taken, found)
                continue
            part = where[1] if len(where) > 1 and isinstance(where[1], int) else 0
            channel = self._channel(index, stem, (str(where[0]), part))
            channel.item_id = channel.item_id or _id_of(item)
            self._repeat(taken, channel, found.text, found.path)
        for betraying in logprobs_in_item(item, path):
            taken.betrays(betraying)
        for channel in self._channels.values():
            if channel.index == index and channel.is_open:
                taken.closes(channel)

    def _end(self, taken: InspectedEvent, content: dict[str, object]) -> None:
        response = content.get("response")
        output = response.get("output") if isinstance(response, dict) else None
        for index, item in enumerate(output if isinstance(output, list) else ()):
            path = ("response", "output", index)
            if index in self._ended:
                taken.quotes(path, index, self._items)
            else:
                self._end_item(taken, index, item, path)
        self._close_all(taken)

    def _repeat(self, taken: InspectedEvent, channel: Channel, text: str, path: Path) -> None:
        if channel.is_open:
            rest = text[channel.received :]
            self._receive(channel, rest)
            taken.closes(channel, rest)
        taken.repeats(path, channel, text)

    def _whole(self, taken: InspectedEvent, found: Found) -> None:
        self._wholes += 1
        taken.tells(found, f"{locator(found.path)}#whole{self._wholes}")

    def _close_all(self, taken: InspectedEvent) -> None:
        for channel in self._channels.values():
            if channel.is_open:
                taken.closes(channel)

    def _channel(self, index: int, stem: str, place: Place) -> Channel:
        channel = self._channels.get((index, place))
        if channel is None:
            kind = SegmentKind.JSON if stem.endswith("_arguments") else SegmentKind.TEXT
            name = f"{locator(('output', index, *place))}#{len(self._channels)}"
            channel = Channel(name, kind, index, "", place, stem)
            self._channels[index, place] = channel
        return channel

    def _receive(self, channel: Channel, text: str) -> None:
        channel.received += len(text)
        self._bytes_left -= len(text)
        if self._bytes_left < 0:
            raise MalformedAnswerError("the answer is larger than what may be kept of one")


def _stem_of(kind: str, where: Path) -> str | None:
    """What the events are called that tell a text of an item; None if none do."""
    if len(where) == 1:
        return _OF_ITEMS.get((kind, str(where[0])))
    if len(where) == 3:  # noqa: PLR2004 - member, part, text
        return _OF_PARTS.get((kind, str(where[0]), str(where[2])))
    return None


def _place(stem: str, content: dict[str, object]) -> Place:
    member = _MEMBERS.get(stem, stem)
    if member == "summary":
        return member, _number(content, "summary_index")
    return member, _number(content, "content_index") if member == "content" else 0


def _id_of(item: object) -> str:
    return _word(item.get("id")) if isinstance(item, dict) else ""


def _number(content: dict[str, object], member: str) -> int:
    value = content.get(member)
    return value if isinstance(value, int) else 0


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
