"""Streams as one JSON array that grows: what Google sends who does not ask for `alt=sse`."""

from meshgate.dialects import sse
from meshgate.dialects.gemini_generate.errors import write_error
from meshgate.runtime.errors import GatewayError


class ArrayWriter:
    """Turns the events of one stream into the elements of an array."""

    def __init__(self) -> None:
        self._events = sse.EventReader()
        self._is_open = False

    def write(self, chunk: bytes) -> bytes:
        """Write the elements that a chunk holds; maybe none."""
        return b"".join(self._element(event.data) for event in self._events.feed(chunk))

    def write_error(self, error: GatewayError) -> bytes:
        """Write the error that ends a stream which began well."""
        return self._element(write_error(error)) + self.close()

    def close(self) -> bytes:
        """End the array."""
        return b"\n]\n" if self._is_open else b"[]\n"

    def _element(self, data: bytes) -> bytes:
        before, self._is_open = (b",\r\n" if self._is_open else b"["), True
        return before + data
