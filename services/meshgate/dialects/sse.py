"""Server-sent events, read as they arrive: https://html.spec.whatwg.org/#event-stream-interpretation."""

from msgspec import Struct

from meshgate.dialects.answers import MalformedAnswerError

DEFAULT_LIMIT_BYTES = 8 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(Struct, gc=False):
    """One event: its data lines, joined by newlines, and its name, mostly empty."""

    data: bytes
    name: bytes = b""


class EventReader:
    """Cuts a byte stream into events, wherever the reads happen to split it.

    Comments, ids, retry times and events without data are dropped. `pending` tells whether a
    partial event is kept back.

    Args:
        limit_bytes: The most bytes one event may take.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._carriage_return = False
        self._first_block = True

    @property
    def pending(self) -> bool:
        """Whether a partial event is kept back, or half a line end."""
        return bool(self._buffer) or self._carriage_return

    def feed(self, data: bytes) -> list[Event]:
        """Take what one read brought and return the events that it completes.

        Raises:
            MalformedAnswerError: An event is larger than the limit.
        """
        if not self._buffer and data.endswith(b"\n\n") and not self._has_carriage_return(data):
            return self._events(data[:-2])
        data = self._with_plain_line_ends(data)
        # A boundary may lie across the old end, so one byte of what was searched is looked at again.
        searched = max(0, len(self._buffer) - 1)
        self._buffer += data
        end = self._buffer.rfind(b"\n\n", searched)
        if end < 0:
            self._check_size(len(self._buffer))
            return []
        blocks = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._check_size(len(self._buffer))
        return self._events(blocks)

    def close(self) -> list[Event]:
        """Take the end of the stream; what was kept back counts as an event, as it may be whole."""
        blocks = bytes(self._buffer)
        self._buffer.clear()
        return self._events(blocks) if blocks else []

    def _has_carriage_return(self, data: bytes) -> bool:
        return self._carriage_return or b"\r" in data

    def _with_plain_line_ends(self, data: bytes) -> bytes:
        if not self._has_carriage_return(data):
            return data
        if self._carriage_return and data:
            self._carriage_return = False
            data = data.removeprefix(b"\n")  # the rest of a CRLF whose CR was taken for a line end
        if data.endswith(b"\r"):
            self._carriage_return = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, blocks: bytes) -> list[Event]:
        if self._first_block:
            self._first_block = False
            blocks = blocks.removeprefix(_BYTE_ORDER_MARK)
        events = []
        for block in blocks.split(b"\n\n"):
            self._check_size(len(block))
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(Event(block[6:]))
            elif (event := _event_of(block)) is not None:
                events.append(event)
        return events

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise MalformedAnswerError(f"an event is larger than {self._limit_bytes} bytes")


def write(event: Event) -> bytes:
    """Write one event."""
    name = b"event: " + event.name + b"\n" if event.name else b""
    return name + b"data: " + event.data.replace(b"\n", b"\ndata: ") + b"\n\n"


def _event_of(block: bytes) -> Event | None:
    lines: list[bytes] = []
    name = b""
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value
    return Event(b"\n".join(lines), name) if lines else None
