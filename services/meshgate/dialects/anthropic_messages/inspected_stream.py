"""Streamed messages, taken apart and written again with what may be shown of their texts."""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.anthropic_messages import events, signing
from meshgate.dialects.anthropic_messages.segments import in_block, in_citation, in_content
from meshgate.dialects.json_text import Found, Path, in_members, locator, replaced
from meshgate.dialects.segments import Piece, SegmentKind

_EVENT = msgspec.json.Decoder(dict[str, object])

# The members by which deltas add to a block, and what they are.
_ADDED = {
    "text": ("text_delta", SegmentKind.TEXT),
    "thinking": ("thinking_delta", SegmentKind.TEXT),
    "partial_json": ("input_json_delta", SegmentKind.JSON),
}
_BLOCKS_END = frozenset({"message_delta", "message_stop"})
_NOT_SAID = frozenset({"type", "signature"})
_NOT_SAID_IN_EVENTS = frozenset({"type", "index", "usage", "error"})
_NOT_SAID_IN_MESSAGES = frozenset(
    {"id", "type", "role", "model", "usage", "stop_reason", "stop_sequence", "container"}
)
_SIGNATURE = ("delta", "signature")


class _Thought:
    """Whether a thought is shown as it was thought: else its signature is none."""

    def __init__(self) -> None:
        self._said, self._shown = hashlib.sha256(), hashlib.sha256()

    def say(self, text: str) -> None:
        self._said.update(text.encode(errors="replace"))

    def show(self, text: str) -> None:
        self._shown.update(text.encode(errors="replace"))

    @property
    def is_changed(self) -> bool:
        return self._said.digest() != self._shown.digest()


class _Channel(Struct, frozen=True):
    """More and more of one block."""

    index: int
    member: str
    thought: _Thought

    @property
    def name(self) -> str:
        return locator(("content", self.index, "input" if self._is_json else self.member))

    @property
    def _is_json(self) -> bool:
        return self.member == "partial_json"

    def piece(self, text: str, *, is_last: bool = False) -> Piece:
        return Piece(self.name, _ADDED[self.member][1], text, is_last)

    def written(self, text: str) -> bytes:
        """An event that brings more of it."""
        delta: dict[str, object] = {"type": _ADDED[self.member][0], self.member: text}
        return events.block_delta(self.index, delta)


class _Event:
    """One event: channels that it closes come first, then the texts that stand in it.

    Args:
        closed: The channels that end here though nothing of them stands in the event.
        event: The event itself; None if there is none.
        texts: The texts in it, with the channel that each adds to, if it is not whole.
        signs: The thought that the event signs, if it does.
    """

    def __init__(
        self,
        closed: Sequence[_Channel],
        event: sse.Event | None = None,
        texts: Sequence[tuple[Found, Piece, _Channel | None]] = (),
        signs: _Thought | None = None,
        *,
        is_end: bool = False,
    ) -> None:
        self._closed = closed
        self._event = event
        self._texts = texts
        self._signs = signs
        self.is_end = is_end
        last = [channel.piece("", is_last=True) for channel in closed]
        self.pieces = last + [piece for _, piece, _ in texts]

    def written(self, released: Sequence[str]) -> bytes:
        """The event, after what its closed channels were still owed."""
        written = []
        for channel, text in zip(self._closed, released[: len(self._closed)], strict=True):
            channel.thought.show(text)
            if text:
                written.append(channel.written(text))
        if self._event is not None:
            written.append(sse.write(self._with(self._event, released[len(self._closed) :])))
        return b"".join(written)

    def _with(self, event: sse.Event, released: Sequence[str]) -> sse.Event:
        changes = {}
        for (found, _, channel), text in zip(self._texts, released, strict=True):
            if channel is not None:
                channel.thought.show(text)
            if text != found.text:
                changes[found.path] = found.written(text)
        if self._signs is not None and self._signs.is_changed:
            changes[_SIGNATURE] = msgspec.json.encode(signing.UNSIGNED)
        return sse.Event(replaced(event.data, changes), event.name) if changes else event


class InspectedStream:
    """Takes one stream apart."""

    def __init__(self) -> None:
        self._events = sse.EventReader()
        self._open: dict[str, _Channel] = {}
        self._thoughts: dict[int, _Thought] = {}
        self._wholes = 0

    def take(self, chunk: bytes) -> list[_Event]:
        """The events of a chunk.

        Raises:
            MalformedAnswerError: One of them is none of the API's.
        """
        return [self._taken(event) for event in self._events.feed(chunk)]

    def closing(self) -> _Event:
        """What ends all channels that are open."""
        return _Event(self._closed(None), is_end=True)

    def _taken(self, event: sse.Event) -> _Event:
        said = _decoded(event.data)
        kind, at = str(said.get("type")), said.get("index")
        index = at if isinstance(at, int) else 0
        match kind:
            case "content_block_start":
                return _Event((), event, list(self._begun(said.get("content_block"), index)))
            case "content_block_delta":
                return self._added(event, said.get("delta"), index)
            case "content_block_stop":
                self._thoughts.pop(index, None)
                return _Event(self._closed(index), event)
        closed = self._closed(None) if kind in _BLOCKS_END else ()
        found = in_members(said, (), _NOT_SAID_IN_EVENTS, _IN_EVENTS)
        return _Event(closed, event, list(map(self._whole, found)), is_end=kind == "message_stop")

    def _begun(self, block: object, index: int) -> Iterator[tuple[Found, Piece, _Channel | None]]:
        """The texts with which a block begins: those that go on, and others that are whole."""
        self._thoughts[index] = _Thought()
        for found in in_block(block, ("content_block",)):
            member = found.path[-1]
            goes_on = len(found.path) == 2 and member in ("text", "thinking")  # noqa: PLR2004
            yield self._found(found, index, str(member) if goes_on else None)

    def _added(self, event: sse.Event, delta: object, index: int) -> _Event:
        if not isinstance(delta, dict):
            return _Event((), event)
        thought = self._thoughts.setdefault(index, _Thought())
        if delta.get("type") == "signature_delta":
            others = {name: value for name, value in delta.items() if name not in _NOT_SAID}
            texts = [self._whole(found, index) for found in in_block(others, ("delta",))]
            return _Event(self._closed(index), event, texts, signs=thought)
        return _Event((), event, list(self._texts(delta, index)))

    def _texts(
        self, delta: dict[str, object], index: int
    ) -> Iterator[tuple[Found, Piece, _Channel | None]]:
        for member, value in delta.items():
            if member in _ADDED and isinstance(value, str):
                if value:
                    found = Found(("delta", member), _ADDED[member][1], value)
                    yield self._found(found, index, member)
            elif member == "citation":
                for found in in_citation(value, ("delta", member)):
                    yield self._found(found, index, None)
            elif member not in _NOT_SAID:
                for found in in_block({member: value}, ("delta",)):
                    yield self._found(found, index, None)

    def _found(
        self, found: Found, index: int, member: str | None
    ) -> tuple[Found, Piece, _Channel | None]:
        """A text with its piece, and the channel whose text it adds to."""
        if member is None:
            return self._whole(found, index)
        channel = _Channel(index, member, self._thoughts.setdefault(index, _Thought()))
        channel = self._open.setdefault(channel.name, channel)
        channel.thought.say(found.text)
        return found, channel.piece(found.text), channel

    def _whole(self, found: Found, index: int | None = None) -> tuple[Found, Piece, None]:
        """A text that does not go on, of a block or of none."""
        self._wholes += 1
        path = found.path if index is None else ("content", index, *found.path[1:])
        name = f"{locator(path)}#whole{self._wholes}"
        return found, Piece(name, found.kind, found.text, is_last=True), None

    def _closed(self, index: int | None) -> list[_Channel]:
        """The channels that are open: of a block, or all."""
        closed = [each for each in self._open.values() if index in {None, each.index}]
        for channel in closed:
            del self._open[channel.name]
        return closed


def _in_message(message: object, path: Path) -> Iterator[Found]:
    """The texts of what begins or ends a message, in which none should stand."""
    return in_members(message, path, _NOT_SAID_IN_MESSAGES, {"content": in_content})


_IN_EVENTS = {"message": _in_message, "delta": _in_message}


def _decoded(data: bytes) -> dict[str, object]:
    try:
        return _EVENT.decode(data)
    except UNREADABLE as error:
        raise MalformedAnswerError("an event of the stream is none of its API") from error
