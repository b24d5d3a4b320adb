"""Streamed media on their way through: events, or bytes that have no events."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import CutStreamError, decoded
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_choices.error_event import find_error
from meshgate.dialects.segments import Piece
from meshgate.dialects.upstream_stream import PassedStream, Progress

EVENT_LIMIT_BYTES = 32 * 1024 * 1024
"""A whole picture in base64 is one event."""

_DONE = b"[DONE]"


class MediaEvent(Struct, gc=False):
    """What is looked at in an event."""

    type: str = ""
    usage: Raw = Raw()


_EVENT = msgspec.json.Decoder(MediaEvent)


class EventTracker(PassedStream):
    """Follows a stream of events whose last kind is known.

    Args:
        ends: The types of the events that end an answer.
        read_usage: Reads what such an event says of usage.
        limit_bytes: The most bytes that one event may take.
        is_repeated: Whether there may be several ends, as with several pictures; then the end of the
            body is the end.
    """

    def __init__(
        self,
        ends: frozenset[str],
        read_usage: Callable[[bytes], Usage | None],
        *,
        limit_bytes: int = sse.DEFAULT_LIMIT_BYTES,
        is_repeated: bool = False,
    ) -> None:
        super().__init__(limit_bytes)
        self._ends = ends
        self._read_usage = read_usage
        self._is_repeated = is_repeated
        self._has_end = False

    def _take(self, event: sse.Event, told: list[bytes]) -> None:
        if event.data == _DONE:
            return  # none of these APIs has it; some servers send it all the same
        self.error = find_error(event)
        if self.error is None:
            self._note(event)
            told.append(sse.write(event))

    def _is_whole(self) -> bool:
        return self._has_end

    def _note(self, event: sse.Event) -> None:
        told = decoded(_EVENT, event.data, "an event of the upstream's stream is no object")
        self.started = True
        if (told.type or event.name.decode(errors="replace")) not in self._ends:
            return
        self._has_end = True
        self.usage = _sum(self.usage, self._read_usage(event.data))
        self.done = not self._is_repeated


class ByteStream(Progress):
    """Follows a stream that is not made of events: all of it passes as it comes.

    It is whole where the HTTP body is, which the client of the upstream sees to.
    """

    def feed(self, data: bytes) -> bytes:
        """Pass on what one read brought."""
        self.started = self.started or bool(data)
        return data

    def close(self) -> bytes:
        """Take the upstream's end.

        Raises:
            CutStreamError: Nothing has come at all.
        """
        if not self.started:
            raise CutStreamError("the answer is empty")
        self.done = True
        return b""


class UninspectedStream:
    """Takes a stream apart that holds no text: all of it may be shown."""

    def take(self, chunk: bytes) -> "Sequence[UninspectedEvent]":
        return [UninspectedEvent(chunk)]

    def closing(self) -> "UninspectedEvent":
        return UninspectedEvent(b"")


class UninspectedEvent:
    """A piece of it."""

    is_end = False

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def pieces(self) -> Sequence[Piece]:
        return ()

    def written(self, released: Sequence[str]) -> bytes:
        del released
        return self._data


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    """What two events tell together."""
    if one is None or other is None:
        return one or other
    counts = {
        name: getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__[:-1]
    }
    return Usage(**counts, service_tier=other.service_tier)
