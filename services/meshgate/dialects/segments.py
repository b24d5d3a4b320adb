"""The texts of requests and answers, taken out to be looked at and put back."""

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class SegmentKind(enum.Enum):
    """What a text is: words, or JSON that has to stay JSON."""

    TEXT = "text"
    JSON = "json"


class Segment(Struct, frozen=True):
    """One text of a request or an answer; its locator says where it stands, as `messages[0].content`."""

    locator: str
    kind: SegmentKind
    text: str


class Cut(Protocol):
    """A body, and the texts in it."""

    @property
    def segments(self) -> Sequence[Segment]:
        """All of them, none empty."""
        ...

    def masked(self, texts: Mapping[str, str]) -> bytes:
        """The body with these texts, by locator, in place of its own; nothing else is touched."""
        ...


class Piece(Struct, frozen=True):
    """More text of one channel of a stream.

    Attributes:
        channel: What belongs together: the text of a choice, the arguments of a tool call.
        kind: What the channel's text is.
        text: What has come; maybe empty, where it is the last.
        is_last: Whether the channel ends with it.
    """

    channel: str
    kind: SegmentKind
    text: str
    is_last: bool = False


class StreamedEvent(Protocol):
    """One event of a stream, and the texts in it."""

    @property
    def pieces(self) -> Sequence[Piece]:
        """What has to be released before the event can be written, in order."""
        ...

    @property
    def is_end(self) -> bool:
        """Whether no text comes after it."""
        ...

    def written(self, released: Sequence[str]) -> bytes:
        """The event with what was released for each piece; to be called once, in the order of events.

        Text that ends channels which the event itself does not hold goes before it.
        """
        ...


class InspectedStream(Protocol):
    """Takes a stream apart, event by event."""

    def take(self, chunk: bytes) -> Sequence[StreamedEvent]:
        """The events of a chunk, which must be whole.

        Raises:
            MalformedAnswerError: One of them cannot be understood.
        """
        ...

    def closing(self) -> StreamedEvent:
        """What ends all channels that are open, where the stream is ended before its time."""
        ...
