"""A streamed answer on its way to the client, which is kept when it has come to its end."""

from collections.abc import Callable

from meshgate.dialects.keeping import KeptStream
from meshgate.routing.reply import AnswerChunks


class KeptChunks:
    """Passes chunks on and listens to them.

    Args:
        chunks: The answer, as it goes to the client.
        listener: Puts it together.
        keep: Keeps what was put together; called once, and only at the end of a whole stream.
    """

    def __init__(
        self, chunks: AnswerChunks, listener: KeptStream, keep: Callable[[KeptStream], None]
    ) -> None:
        self._chunks = chunks
        self._listener = listener
        self._keep: Callable[[KeptStream], None] | None = keep

    def __aiter__(self) -> "KeptChunks":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            keep, self._keep = self._keep, None
            if keep is not None:
                keep(self._listener)
            raise
        self._listener.take(chunk)
        return chunk

    async def aclose(self) -> None:
        """Give up what is still to come; then nothing is kept."""
        self._keep = None
        await self._chunks.aclose()


class ToldAgain:
    """A kept answer, as a stream of one piece."""

    def __init__(self, events: bytes) -> None:
        self._events: bytes | None = events

    def __aiter__(self) -> "ToldAgain":
        return self

    async def __anext__(self) -> bytes:
        if self._events is None:
            raise StopAsyncIteration
        events, self._events = self._events, None
        return events

    async def aclose(self) -> None:
        self._events = None
