"""One event of a streamed response, with what has to be released before it is written again."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct, field

from meshgate.dialects import sse
from meshgate.dialects.json_text import Found, Path, replaced
from meshgate.dialects.segments import Piece, SegmentKind

Place: TypeAlias = tuple[str, int]
"""Where a text stands in an item: the member, and the number of the part in it."""

_ENCODER = msgspec.json.Encoder()


class _Told(Struct):
    item: Raw


_TOLD = msgspec.json.Decoder(_Told)


class Channel(Struct):
    """A text that comes in pieces.

    Attributes:
        index: The place of its item in the output.
        stem: What the events that add to it are called, without their end.
        received: How much has come, in characters.
        shown: What was released of it, in UTF-8.
    """

    name: str
    kind: SegmentKind
    index: int
    item_id: str
    place: Place
    stem: str
    received: int = 0
    shown: bytearray = field(default_factory=bytearray)
    is_open: bool = True

    @property
    def text(self) -> str:
        """All that was released."""
        return self.shown.decode()

    def release(self, text: str) -> None:
        """Take what may be shown."""
        self.shown += text.encode(errors="replace")

    def delta(self, text: str) -> dict[str, object]:
        """The event that adds to it, without a number."""
        member, part = self.place
        numbered = {f"{member}_index": part} if member in ("content", "summary") else {}
        logprobs: dict[str, object] = {"logprobs": []} if self.stem.endswith("output_text") else {}
        return {
            "type": f"{self.stem}.delta",
            "item_id": self.item_id,
            "output_index": self.index,
            **numbered,
            "delta": text,
            **logprobs,
        }


class Numbers:
    """Numbers the events of a stream anew, where some were added."""

    def __init__(self) -> None:
        self._added = 0
        self._next = 0

    def change(self, content: Mapping[str, object]) -> dict[Path, bytes]:
        """What changes of an event that was in the stream."""
        number = content.get("sequence_number")
        if not isinstance(number, int):
            return {}
        self._next = number + self._added + 1
        return {("sequence_number",): str(number + self._added).encode()} if self._added else {}

    def write_delta(self, channel: Channel, text: str) -> bytes:
        """Write an event that was not in the stream, before the one that comes next."""
        event = channel.delta(text)
        name = str(event.pop("type"))
        numbered = {"type": name, "sequence_number": self._next, **event}
        self._added += 1
        self._next += 1
        return sse.write(sse.Event(_ENCODER.encode(numbered), name.encode()))


class InspectedEvent:
    """One event; without one, the end of all channels.

    Args:
        numbers: Of the stream.
        event: The event itself.
        content: What stands in it.
        is_end: Whether no text comes after it.
    """

    def __init__(
        self,
        numbers: Numbers,
        event: sse.Event | None,
        content: Mapping[str, object],
        *,
        is_end: bool,
    ) -> None:
        self.is_end = is_end
        self.pieces: list[Piece] = []
        self._numbers = numbers
        self._event = event
        self._content = content
        self._takers: list[Callable[[str], None]] = []
        self._before: list[tuple[Channel, str]] = []
        self._changes: dict[Path, bytes] = {}
        self._repeated: list[tuple[Path, Channel, str]] = []
        self._quoted: list[tuple[Path, int]] = []
        self._kept: dict[int, bytes] = {}
        self._keeps: int | None = None

    def adds(self, channel: Channel, text: str) -> None:
        """It adds to a channel."""

        def take(released: str) -> None:
            channel.release(released)
            if released != text:
                self._changes["delta",] = _ENCODER.encode(released)

        self._piece(Piece(channel.name, channel.kind, text), take)

    def closes(self, channel: Channel, rest: str = "") -> None:
        """It ends a channel, and tells what was not told in pieces."""

        def take(released: str) -> None:
            channel.release(released)
            if released:
                self._before.append((channel, released))

        channel.is_open = False
        self._piece(Piece(channel.name, channel.kind, rest, is_last=True), take)

    def tells(self, found: Found, name: str) -> None:
        """It tells a text that comes in no other way."""

        def take(released: str) -> None:
            if released != found.text:
                self._changes[found.path] = found.written(released)

        self._piece(Piece(name, found.kind, found.text, is_last=True), take)

    def repeats(self, path: Path, channel: Channel, text: str) -> None:
        """It tells all of a channel again, which was `text`."""
        self._repeated.append((path, channel, text))

    def betrays(self, path: Path) -> None:
        """It tells tokens once more, with how likely they were."""
        self._changes[path] = b"[]"

    def keeps(self, index: int, kept: dict[int, bytes]) -> None:
        """What it shows of an item is to be told again at the end."""
        self._keeps, self._kept = index, kept

    def quotes(self, path: Path, index: int, kept: dict[int, bytes]) -> None:
        """It tells an item again."""
        self._quoted.append((path, index))
        self._kept = kept

    def written(self, released: Sequence[str]) -> bytes:
        """The event, after what its closed channels were still owed."""
        for take, text in zip(self._takers, released, strict=True):
            take(text)
        owed = [self._numbers.write_delta(channel, text) for channel, text in self._before]
        if self._event is None:
            return b"".join(owed)
        data = replaced(self._event.data, self._all_changes())
        if self._keeps is not None:
            self._kept[self._keeps] = bytes(_TOLD.decode(data).item)
        return b"".join([*owed, sse.write(sse.Event(data, self._event.name))])

    def _all_changes(self) -> dict[Path, bytes]:
        changes = self._changes | self._numbers.change(self._content)
        for path, channel, text in self._repeated:
            if (shown := channel.text) != text:
                changes[path] = _ENCODER.encode(shown)
        for path, index in self._quoted:
            if (item := self._kept.get(index)) is not None:
                changes[path] = item
        return changes

    def _piece(self, piece: Piece, take: Callable[[str], None]) -> None:
        self.pieces.append(piece)
        self._takers.append(take)
