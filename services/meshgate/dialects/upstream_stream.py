"""The life of an answer that an upstream streams: its events, and its end, an error or a cut.

What all dialects have in common, whether the answer is read into the neutral form or passed on as it
is. One whose body ends before the answer does was cut: that must not look whole. An error that the
upstream reports inside the stream is not raised, so that what came before it is not lost: it stands in
`error`, and nothing is taken after it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from meshgate.dialects import sse
from meshgate.dialects.answers import CutStreamError, MalformedAnswerError, UpstreamErrorEvent
from meshgate.dialects.neutral import ChatEvent, FinishReason, Usage

Event = TypeVar("Event")
Event_co = TypeVar("Event_co", covariant=True)
Piece = TypeVar("Piece")


class EventSource(Protocol[Event_co]):
    """Cuts a byte stream into events, wherever the reads happen to split it."""

    def feed(self, data: bytes) -> Sequence[Event_co]:
        """The events that a read completes. Raises MalformedAnswerError for one that is too large."""
        ...

    def close(self) -> Sequence[Event_co]:
        """What was kept back at the end. Raises MalformedAnswerError where that can be no event."""
        ...


class Progress:
    """What has been seen so far of a streamed answer; see `StreamProgress`."""

    def __init__(self) -> None:
        self.started = False
        self.done = False
        self.served_model = ""
        self.usage: Usage | None = None
        self.finish_reason = FinishReason.UNSPECIFIED
        self.error: UpstreamErrorEvent | None = None

    @property
    def is_over(self) -> bool:
        """Whether the answer is whole, or has failed: then the rest of the bytes is ignored."""
        return self.done or self.error is not None


class UpstreamStream(Progress, ABC, Generic[Event, Piece]):
    """Follows one streamed answer.

    Args:
        events: Cuts it into events.
    """

    def __init__(self, events: EventSource[Event]) -> None:
        super().__init__()
        self._source = events

    @abstractmethod
    def _take(self, event: Event, told: list[Piece]) -> None:
        """Take an event of an answer that is not over, and add what it says.

        Raises:
            MalformedAnswerError: It cannot be understood.
        """

    def _is_whole(self) -> bool:
        """Whether the answer has said enough for the end of the body to be its own end."""
        return False

    def _end(self, told: list[Piece]) -> None:
        """End the answer where its body does, and add what is owed."""
        del told
        self.done = True

    def _taken(self, events: Sequence[Event]) -> list[Piece]:
        told: list[Piece] = []
        for event in events:
            if self.is_over:
                break
            self._take(event, told)
        return told

    def _closed(self) -> list[Piece]:
        try:
            told = self._taken(self._source.close())
        except MalformedAnswerError as error:
            raise CutStreamError("the stream ended within an event") from error
        if not self.is_over:
            if not self._is_whole():
                raise CutStreamError("the stream ended before the answer did")
            self._end(told)
        return told


class ReadStream(UpstreamStream[Event, ChatEvent]):
    """A streamed answer that is read into the neutral form."""

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Take what one read brought and return what it says.

        Raises:
            MalformedAnswerError: The upstream said what cannot be understood.
        """
        return [] if self.is_over else self._taken(self._source.feed(data))

    def close(self) -> list[ChatEvent]:
        """Take the upstream's end and return what was still owed.

        Raises:
            CutStreamError: The answer is not whole.
        """
        return [] if self.is_over else self._closed()


class PassedStream(UpstreamStream[sse.Event, bytes]):
    """A stream of server-sent events that is passed on: whole ones as they come, without comments."""

    def __init__(self, limit_bytes: int = sse.DEFAULT_LIMIT_BYTES) -> None:
        self._events = sse.EventReader(limit_bytes)
        super().__init__(self._events)

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought and return the whole events to pass on, maybe none.

        Raises:
            MalformedAnswerError: The upstream said what cannot be understood.
        """
        if self.is_over:
            return b""
        if self.started and not self._events.pending and self._is_ordinary(data):
            return data
        return b"".join(self._taken(self._events.feed(data)))

    def close(self) -> bytes:
        """Take the upstream's end and return what the caller is still owed.

        Raises:
            CutStreamError: The answer is not whole.
        """
        return b"" if self.is_over else b"".join(self._closed())

    def _is_ordinary(self, data: bytes) -> bool:
        """Whether all of a read can be passed on as it is: whole events that only add to the answer."""
        del data
        return False
