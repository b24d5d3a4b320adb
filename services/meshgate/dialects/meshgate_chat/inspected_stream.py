"""Streamed answers of the typed API, taken apart and written again with what may be shown of them."""

from collections.abc import Callable, Sequence

from google.protobuf.message import DecodeError
from msgspec import Struct

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.segments import Piece, SegmentKind
from meshgate.v1 import chat_pb2

_TEXTS = frozenset({"text_delta", "reasoning_delta", "refusal_delta"})


class _Channel(Struct, frozen=True):
    """What belongs together: a kind of text, or the arguments of one tool call."""

    name: str
    kind: SegmentKind
    call_index: int = 0

    def written(self, text: str) -> chat_pb2.ChatEvent:
        """An event that brings more of it."""
        if self.kind is SegmentKind.TEXT:
            return chat_pb2.ChatEvent(**{self.name: text})  # type: ignore[arg-type]
        delta = chat_pb2.ToolCallDelta(index=self.call_index, arguments_fragment=text)
        return chat_pb2.ChatEvent(tool_call_delta=delta)


class _Event:
    """One event: channels that it closes come first, then the text that stands in it.

    Args:
        number: Gives each event that is written its number.
        closed: The channels that end here.
        event: The event itself; None if there is none.
        piece: The text in it.
    """

    def __init__(
        self,
        number: Callable[[], int],
        closed: Sequence[_Channel],
        event: chat_pb2.ChatEvent | None,
        piece: Piece | None = None,
    ) -> None:
        self._number = number
        self._closed = closed
        self._event = event
        self._piece = piece
        self.is_end = event is None or event.HasField("finished")
        self.pieces = [Piece(each.name, each.kind, "", is_last=True) for each in closed]
        if piece is not None:
            self.pieces.append(piece)

    def written(self, released: Sequence[str]) -> bytes:
        """The event, after what its closed channels were still owed."""
        owed = zip(self._closed, released[: len(self._closed)], strict=True)
        events = [channel.written(text) for channel, text in owed if text]
        if self._event is not None and self._says(released[-1] if self._piece else ""):
            events.append(self._event)
        for event in events:
            event.sequence_number = self._number()
        return chat_pb2.ChatEvents(events=events).SerializeToString()

    def _says(self, text: str) -> bool:
        """Put the text into the event; whether it then says anything."""
        event = self._event
        if event is None or self._piece is None:
            return True
        kind = event.WhichOneof("kind")
        if kind == "tool_call_delta":
            event.tool_call_delta.arguments_fragment = text
            return bool(text or event.tool_call_delta.id or event.tool_call_delta.name)
        setattr(event, str(kind), text)
        return bool(text)


class InspectedStream:
    """Takes one stream apart. Its events are numbered anew."""

    def __init__(self) -> None:
        self._open: dict[str, _Channel] = {}
        self._written = 0

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
        return _Event(self._next_number, self._closed(), None)

    def _taken(self, event: chat_pb2.ChatEvent) -> _Event:
        kind = event.WhichOneof("kind")
        if kind == "finished":
            return _Event(self._next_number, self._closed(), event)
        channel, text = _said(event, str(kind))
        if not text:
            return _Event(self._next_number, (), event)
        self._open[channel.name] = channel
        return _Event(self._next_number, (), event, Piece(channel.name, channel.kind, text))

    def _closed(self) -> list[_Channel]:
        closed, self._open = list(self._open.values()), {}
        return closed

    def _next_number(self) -> int:
        number, self._written = self._written, self._written + 1
        return number


def _said(event: chat_pb2.ChatEvent, kind: str) -> tuple[_Channel, str]:
    """What an event says, and on which channel; nothing for events that say nothing."""
    if kind == "tool_call_delta":
        delta = event.tool_call_delta
        name = f"tool_calls[{delta.index}].arguments_json"
        return _Channel(name, SegmentKind.JSON, delta.index), delta.arguments_fragment
    return _Channel(kind, SegmentKind.TEXT), getattr(event, kind) if kind in _TEXTS else ""
