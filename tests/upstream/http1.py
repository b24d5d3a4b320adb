"""HTTP/1.1 on asyncio streams, with every byte under control."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

READ_BYTES = 1 << 20
Headers = list[tuple[str, str]]


class ClientGoneError(Exception):
    """The client closed its connection before the answer was whole."""


class MalformedError(Exception):
    """What came is no HTTP request."""


@dataclass(frozen=True)
class Incoming:
    """A request, read whole."""

    method: str
    path: str
    headers: Headers
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the client wants the connection closed afterwards."""
        return header(self.headers, "connection").lower() == "close"


def header(headers: Headers, name: str) -> str:
    """The first value of a header, empty if it is missing."""
    return next((value for key, value in headers if key.lower() == name), "")


class Connection(asyncio.StreamReaderProtocol):
    """One connection of a client.

    `gone` is set once the client has closed it; `on_stall` is called whenever a write has to wait
    for the client to read.
    """

    def __init__(self, opened: Callable[["Connection"], None]) -> None:
        self.reader = asyncio.StreamReader(limit=READ_BYTES)
        super().__init__(self.reader, self._connected)
        self.gone = asyncio.Event()
        self.number = -1
        self.on_stall: Callable[[], None] = lambda: None
        self._opened = opened

    def _connected(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        # Without a buffer of our own, a write ends when the kernel has taken the bytes: what is
        # recorded as sent was sent, and a reader that stalls holds us back at once.
        writer.transport.set_write_buffer_limits(high=0)
        self._opened(self)

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)

    async def read(self) -> Incoming | None:
        """The next request, or None when the client has closed the connection.

        Raises:
            MalformedError: It is none.
        """
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except asyncio.LimitOverrunError as error:
            raise MalformedError("the head does not end") from error
        lines = head[:-4].decode("latin-1").split("\r\n")
        try:
            method, path, _version = lines[0].split(" ")
            pairs = [line.split(":", 1) for line in lines[1:]]
            headers = [(name, value.strip()) for name, value in pairs]
        except ValueError as error:
            raise MalformedError(lines[0]) from error

        return Incoming(method, path, headers, await self._body(headers))

    async def _body(self, headers: Headers) -> bytes:
        if header(headers, "expect").lower() == "100-continue":
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            if header(headers, "transfer-encoding").lower() == "chunked":
                return await self._chunked_body()
            return await self.reader.readexactly(int(header(headers, "content-length") or 0))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ClientGoneError from error
        except ValueError as error:
            raise MalformedError("content-length") from error

    async def _chunked_body(self) -> bytes:
        body = bytearray()
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        while await self.reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers say nothing to us

        return bytes(body)

    async def write(self, data: bytes) -> None:
        """Hands `data` to the kernel.

        Raises:
            ClientGoneError: The client has closed the connection.
        """
        if self.gone.is_set():
            raise ClientGoneError
        self.writer.write(data)
        await asyncio.sleep(0)  # uvloop writes at the end of a turn, and the client may be next
        if self.writer.transport.get_write_buffer_size():
            self.on_stall()
            await self.unless_gone(self._drain())

    async def _drain(self) -> None:
        try:
            await self.writer.drain()
        except ConnectionError as error:
            raise ClientGoneError from error

    async def unless_gone(self, work: Coroutine[Any, Any, None]) -> None:
        """Awaits `work`, but not longer than the client stays.

        Raises:
            ClientGoneError: The client left first.
        """
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(self.gone.wait())
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            answered = task.done()
            task.cancel()
        if not answered:
            raise ClientGoneError
        await task

    async def hang(self) -> None:
        """Waits for the client to leave.

        Raises:
            ClientGoneError: Always, in the end.
        """
        await self.gone.wait()
        raise ClientGoneError

    def close(self, by: Literal["eof", "reset"] = "eof") -> None:
        """Ends the connection, with a FIN or with a RST."""
        if by == "eof":
            self.writer.close()
            return
        sock: socket.socket = self.writer.get_extra_info("socket")
        if sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def head(status: int, headers: Headers) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{n}: {v}" for n, v in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; the empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Listener:
    """Accepts connections on loopback and serves each in a task of its own."""

    def __init__(self, serve: Callable[[Connection], Awaitable[None]]) -> None:
        self._serve = serve
        self._tasks: dict[asyncio.Task[None], Connection] = {}
        self._accepted = 0
        self.port = 0

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    async def start(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._opened), "127.0.0.1", port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends all connections at once."""
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _opened(self, connection: Connection) -> None:
        connection.number = self._accepted
        self._accepted += 1
        task = asyncio.get_running_loop().create_task(self._run(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._tasks.pop)

    async def _run(self, connection: Connection) -> None:
        try:
            await self._serve(connection)
        finally:
            connection.close()
