"""One HTTP/1.1 connection to an upstream: one request at a time, answers as they come."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httptools

from meshgate.provider.upstream import BrokenConnectionError

_HEAD_LIMIT_BYTES = 64 * 1024
_BUFFER_LIMIT_BYTES = 256 * 1024
_PIECE_BYTES = 256 * 1024
_INTERIM = range(100, 200)


class Http1Connection(asyncio.Protocol):
    """Sends requests, and keeps what has come of the answer until somebody takes it.

    Reading stops while more than 256 KiB wait to be taken. An answer that breaks off fails those
    who wait for it with BrokenConnectionError.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._writable = True
        self._begin()

    def _begin(self) -> None:
        """Forget the answer before."""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.complete = False
        self._has_head = False
        self._head_bytes = 0
        self._pieces: list[bytes] = []
        self._buffered_bytes = 0
        self._broken = False
        self._keep_alive = False
        self._is_unsent = False

    # -- the caller's side

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent.

        Not if some of the answer was not taken, for reading may have stopped over it, nor if the
        answer came before all of the request was sent.
        """
        return (
            self.complete
            and self._keep_alive
            and self.alive
            and not self._broken
            and not self._is_unsent
            and not self._pieces
            and not self._transport.get_write_buffer_size()
        )

    @property
    def alive(self) -> bool:
        """Whether the connection still stands."""
        return not self._lost and not self._transport.is_closing()

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request, a large one in pieces, so that others have their turn on the loop.

        Raises:
            BrokenConnectionError: The connection broke before it was sent.
        """
        self._begin()
        if len(body) <= _PIECE_BYTES:
            self._transport.write(head + body)
            return
        self._transport.write(head)
        rest = memoryview(body)
        while rest and self.alive:
            # Who answers already may not read on: the rest must not keep the answer waiting.
            size = len(rest) if self._has_head else _PIECE_BYTES
            self._transport.write(rest[:size])
            rest = rest[size:]
            while not (self._writable or self._has_head):
                await self._more()

    async def send_pieces(self, head: bytes, pieces: AsyncIterator[bytes]) -> None:
        """Send a request whose body comes in pieces, each when the one before is nearly sent.

        Where the answer comes before all of it is sent, the rest is not.

        Raises:
            BrokenConnectionError: The connection broke before it was sent.
        """
        self._begin()
        self._is_unsent = True
        self._transport.write(head)
        async for piece in pieces:
            if self._has_head or not self.alive:
                return
            self._transport.write(piece)
            while not (self._writable or self._has_head):
                await self._more()
        self._is_unsent = False

    async def head(self) -> None:
        """Wait for the status and the headers.

        Raises:
            BrokenConnectionError: There will be none.
        """
        while not self._has_head:
            await self._more()

    async def take(self) -> bytes:
        """All of the body that has come and was not taken yet; empty at its end.

        Raises:
            BrokenConnectionError: The body will never be whole.
        """
        while not self._pieces:
            if self.complete:
                return b""
            await self._more()
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._buffered_bytes = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def _more(self) -> None:
        """Wait until something happens."""
        if self._broken or self._lost:
            raise BrokenConnectionError
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the transport's side

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.complete:
            self._break()  # nothing was asked: it must not pass for the next answer
            return
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break()
        if not self._has_head and self._head_bytes > _HEAD_LIMIT_BYTES:
            self._break()
        self._wake()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    def eof_received(self) -> None:
        """Closing follows by itself."""

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        # A body without a length ends with the connection, where that ended well.
        ended_well = error is None and not self._broken
        if self._has_head and ended_well and not self._is_framed():
            self.complete = True
        self._wake()

    def _is_framed(self) -> bool:
        coding = self.headers.get(b"transfer-encoding", b"")
        return b"content-length" in self.headers or b"chunked" in coding.lower()

    def _break(self) -> None:
        self._broken = True
        self.abort()

    # -- the parser's side

    def on_message_begin(self) -> None:
        if self.complete:  # something follows an answer that is whole, which stays so
            raise httptools.HttpParserError("nothing was asked")

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self.headers.setdefault(name, value) is not value and name == b"transfer-encoding":
            self.headers[name] += (
                b"," + value
            )  # they tell of the same body; of others the first counts

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status not in _INTERIM:
            self.status = status
            self._has_head = True
            self._keep_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._buffered_bytes += len(body)
        if self._buffered_bytes > _BUFFER_LIMIT_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._has_head:
            self.complete = True
        else:
            self.headers.clear()  # 1xx: the answer itself follows
