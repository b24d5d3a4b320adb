"""Streamed answers of the typed API, taken apart and written again with what may be shown of them."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from google.protobuf.message import DecodeError
from msgspec import Struct

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.segments import Piece, SegmentKind
from meshgate.v1 import chat_pb2

_TEXTS = frozenset({"text_delta", "reasoning_delta", "refusal_delta"})
_THOUGHT = "reasoning_delta"


class _Channel(Struct, frozen=True):
    """What belongs together: a kind of text, or what one tool call is given."""

    name: str
    kind: SegmentKind
    field: str
    call_index: int = 0

    def written(self, text: str) -> chat_pb2.ChatEvent:
        """An event that brings more of it."""
        if self.field in _TEXTS:
            return chat_pb2.ChatEvent(**{self.field: text})  # type: ignore[arg-type]
        delta = chat_pb2.ToolCallDelta(index=self.call_index, arguments_fragment=text)
        return chat_pb2.ChatEvent(tool_call_delta=delta)


class _Thought:
    """Knows whether a thought is shown as the model has thought it.

    Args:
        number: Which of the stream's it is, from 0.
    """

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.channel = f"{_THOUGHT}#{number}" if number else _THOUGHT
        self._said = blake2b()
        self._shown = blake2b()

    @property
    def is_whole(self) -> bool:
        return self._said.digest() == self._shown.digest()

    def say(self, text: str) -> None:
        self._said.update(text.encode())

    def show(self, text: str) -> None:
        self._shown.update(text.encode())


class _Found(Struct, frozen=True):
    """A text: the message whose field it is, and the text as a piece."""

    owner: Any
    field: str
    piece: Piece


class _Event:
    """One event: channels that it closes come first, then the texts that stand in it.

    Args:
        number: Gives each event that is written its number.
        thought: The one in progress.
        closed: The channels that end here.
        event: The event itself; None if there is none.
        found: The texts in it.
    """

    def __init__(
        self,
        number: Callable[[], int],
        thought: _Thought,
        closed: Sequence[_Channel],
        event: chat_pb2.ChatEvent | None,
        found: Sequence[_Found] = (),
    ) -> None:
        self._number = number
        self._thought = thought
        self._closed = closed
        self._event = event
        self._found = found
        self.is_end = event is None or event.HasField("finished")
        self.pieces = [Piece(each.name, each.kind, "", is_last=True) for each in closed]
        self.pieces += [each.piece for each in found]

    def written(self, released: Sequence[str]) -> bytes:
        """The event, after what its closed channels were still owed."""
        events = []
        for channel, text in zip(self._closed, released, strict=False):
            if channel.field == _THOUGHT:
                self._thought.show(text)
            if text:
                events.append(channel.written(text))
        if self._event is not None and self._says(self._event, released[len(self._closed) :]):
            events.append(self._event)
        for event in events:
            event.sequence_number = self._number()
        return chat_pb2.ChatEvents(events=events).SerializeToString()

    def _says(self, event: chat_pb2.ChatEvent, released: Sequence[str]) -> bool:
        """Put the texts into the event; whether it then says anything."""
        for found, text in zip(self._found, released, strict=True):
            setattr(found.owner, found.field, text)
        match event.WhichOneof("kind"):
            case "reasoning_end":
                return self._ends_thought(event.reasoning_end)
            case "tool_call_delta":
                delta = event.tool_call_delta
                return not self._found or bool(delta.arguments_fragment or delta.id or delta.name)
            case "text_delta" | "reasoning_delta" | "refusal_delta" as kind:
                if kind == _THOUGHT:
                    self._thought.show(event.reasoning_delta)
                return not self._found or bool(getattr(event, kind))
        return True

    def _ends_thought(self, end: chat_pb2.ReasoningEnd) -> bool:
        if not self._thought.is_whole:
            end.ClearField("signature")  # it proves another thought
        return bool(end.signature or end.id)


class InspectedStream:
    """Takes one stream apart. Its events are numbered anew."""

    def __init__(self) -> None:
        self._open: dict[str, _Channel] = {}
        self._written = 0
        self._citations = 0
        self._thought = _Thought()
        self._custom_calls: set[int] = set()

    def take(self, chunk: bytes) -> list[_Event]:
        """The events of a chunk: a serialized ChatEvents.

        Raises:
            MalformedAnswerError: It is none.
        """
        try:
            events = chat_pb2.ChatEvents.FromString(chunk).events
        except DecodeError as error:
            raise MalformedAnswerError("a chunk of the stream holds no events") from error
        return [self._taken(event) for event in events]

    def closing(self) -> _Event:
        """What ends all channels that are open."""
        return self._event(self._closed(), None)

    def _taken(self, event: chat_pb2.ChatEvent) -> _Event:
        match event.WhichOneof("kind"):
            case "finished":
                return self._event(self._closed(), event)
            case "reasoning_end":
                closed = self._open.pop(self._thought.channel, None)
                ending = self._event(() if closed is None else (closed,), event)
                self._thought = _Thought(self._thought.number + 1)
                return ending
            case "citation":
                return self._event((), event, self._cited(event.citation))
            case _:
                return self._event((), event, self._said(event))

    def _event(
        self,
        closed: Sequence[_Channel],
        event: chat_pb2.ChatEvent | None,
        found: Sequence[_Found] = (),
    ) -> _Event:
        return _Event(self._next_number, self._thought, closed, event, found)

    def _said(self, event: chat_pb2.ChatEvent) -> list[_Found]:
        """What a delta says; nothing for events that say nothing."""
        owner, field, channel = self._channel_of(event)
        text = getattr(owner, field) if field else ""
        if not text:
            return []
        if channel.field == _THOUGHT:
            self._thought.say(text)
        self._open[channel.name] = channel
        return [_Found(owner, field, Piece(channel.name, channel.kind, text))]

    def _channel_of(self, event: chat_pb2.ChatEvent) -> tuple[Any, str, _Channel]:
        kind = str(event.WhichOneof("kind"))
        if kind == "tool_call_delta":
            delta = event.tool_call_delta
            name = f"tool_calls[{delta.index}].arguments_json"
            if delta.custom:
                self._custom_calls.add(delta.index)
            takes = SegmentKind.TEXT if delta.index in self._custom_calls else SegmentKind.JSON
            return delta, "arguments_fragment", _Channel(name, takes, kind, delta.index)
        name = self._thought.channel if kind == _THOUGHT else kind
        return event, kind if kind in _TEXTS else "", _Channel(name, SegmentKind.TEXT, kind)

    def _cited(self, citation: chat_pb2.Citation) -> list[_Found]:
        """What a citation says, which is whole."""
        at, self._citations = self._citations, self._citations + 1
        return [
            _Found(
                citation,
                field,
                Piece(f"citations[{at}].{field}", SegmentKind.TEXT, text, is_last=True),
            )
            for field in ("title", "quoted")
            if (text := getattr(citation, field))
        ]

    def _closed(self) -> list[_Channel]:
        closed, self._open = list(self._open.values()), {}
        return closed

    def _next_number(self) -> int:
        number, self._written = self._written, self._written + 1
        return number
