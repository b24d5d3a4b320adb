"""Server-sent events, framed as oddly as asked for."""

from collections.abc import Iterator

from upstream.behaviours import Framing

DONE = b"[DONE]"
BOM = b"\xef\xbb\xbf"


class EventWriter:
    """Turns events into the pieces that go onto the wire, each an HTTP chunk of its own."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._newline = framing.newline.encode()
        self._held = BOM if framing.start == "bom" else b""
        self._held_events = 0

    def pieces(self, data: bytes, name: bytes = b"") -> Iterator[bytes]:
        """What can be written once this event is there; perhaps nothing yet."""
        if self._framing.comments == "before_events":
            self._held += b": keep-alive" + self._newline * 2
        if name:
            self._held += b"event: " + name + self._newline
        self._held += b"data: " + data + self._newline * 2
        self._held_events += 1
        if self._held_events >= self._framing.events_per_write:
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """What is still held back."""
        held, self._held, self._held_events = self._held, b"", 0
        size = self._framing.split_bytes or len(held) or 1
        for start in range(0, len(held), size):
            yield held[start : start + size]
