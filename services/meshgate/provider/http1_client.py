"""The default client: HTTP/1.1 on the event loop's own transports, parsed by httptools."""

import asyncio
import ssl
import time
import zlib
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from urllib.parse import quote, urlsplit

from meshgate.provider.http1_connection import Http1Connection
from meshgate.provider.phases import UNBOUNDED, Phase, PhaseClock, PhaseTimeoutError
from meshgate.provider.trust import trust
from meshgate.provider.upstream import (
    MIB,
    AnswerTooLargeError,
    BrokenConnectionError,
    ClientOptions,
    ConnectFailedError,
    Headers,
    StreamedBody,
    gathered,
)

# Idle connections are given up before upstreams and balancers commonly do, at 60 s and more.
_IDLE_SECONDS = 50.0
_DEFAULT_PORTS = {"http": 80, "https": 443}
# What may stand in a request's target as it is; `%` because what is escaped stays so.
_IN_TARGETS = "/%:@!$&'()*+,;=~?[]"
# zlib's window bits that take gzip's header as well as zlib's own.
_ANY_ZLIB = 47


@dataclass(frozen=True, slots=True)
class Origin:
    """What a connection leads to."""

    scheme: str
    host: str
    port: int


class Http1Client:
    """An UpstreamClient for upstreams that are reached directly.

    Raises:
        ValueError: The certificates cannot be used, or a proxy is asked for.
    """

    def __init__(self, options: ClientOptions) -> None:
        if options.proxy:
            raise ValueError("this client knows no proxies")
        self._connect_seconds = options.connect_seconds
        self._trust = trust(options.ca_pem)
        # When each was used last, and the connection; the one used last is at the end.
        self._idle: defaultdict[Origin, deque[tuple[float, Http1Connection]]] = defaultdict(deque)
        self._closing = False

    def post(
        self, url: str, headers: Headers, body: bytes | StreamedBody, clock: PhaseClock
    ) -> "_Call":
        origin, target, host = _parsed(url)
        length = len(body) if isinstance(body, bytes) else body.length
        return _Call(self, origin, _head(target, host, headers, length), body, clock)

    async def close(self) -> None:
        self._closing = True
        for connections in self._idle.values():
            for _, connection in connections:
                connection.abort()
        self._idle.clear()

    def take(self, origin: Origin) -> Http1Connection | None:
        """An idle connection, the one that was used last."""
        connections = self._idle[origin]
        oldest = time.monotonic() - _IDLE_SECONDS
        while connections:
            idle_since, connection = connections.pop()
            if idle_since >= oldest and connection.alive:
                return connection
            connection.abort()
        return None

    def give_back(self, origin: Origin, connection: Http1Connection) -> None:
        """Keep a connection for the next call, or close it where it is of no more use."""
        if self._closing or not connection.reusable:
            connection.abort()
            return
        now = time.monotonic()
        idle = self._idle[origin]
        # Those that a busy hour left behind are never taken again.
        while idle and (idle[0][0] < now - _IDLE_SECONDS or not idle[0][1].alive):
            idle.popleft()[1].abort()
        idle.append((now, connection))

    async def connect(self, origin: Origin, at_most_seconds: float) -> Http1Connection:
        """A new connection.

        Raises:
            ConnectFailedError: None came about.
            PhaseTimeoutError: None did in time.
        """
        seconds = min(at_most_seconds, self._connect_seconds)
        secure = origin.scheme == "https"
        try:
            async with asyncio.timeout(None if seconds == UNBOUNDED else seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    Http1Connection,
                    origin.host,
                    origin.port,
                    ssl=self._trust if secure else None,
                    server_hostname=origin.host if secure else None,
                )
        except TimeoutError:
            raise PhaseTimeoutError(Phase.CONNECT) from None
        except (OSError, ssl.SSLError, ValueError):
            raise ConnectFailedError from None
        return connection


class _Call:
    __slots__ = ("_body", "_client", "_clock", "_connection", "_head", "_origin")

    def __init__(
        self,
        client: Http1Client,
        origin: Origin,
        head: bytes,
        body: bytes | StreamedBody,
        clock: PhaseClock,
    ) -> None:
        self._client = client
        self._origin = origin
        self._head = head
        self._body = body
        self._clock = clock
        self._connection: Http1Connection | None = None

    async def __aenter__(self) -> "Http1Response":
        self._connection = connection = self._client.take(self._origin)
        try:
            with self._clock:
                if connection is None:
                    connection = await self._client.connect(
                        self._origin, self._clock.timeouts.connect_seconds
                    )
                    self._connection = connection
                if isinstance(self._body, bytes):
                    await connection.send(self._head, self._body)
                else:
                    await connection.send_pieces(self._head, self._body.pieces)
                await connection.head()
        except BaseException:
            if self._connection is not None:
                self._connection.abort()
            raise
        return Http1Response(connection, self._clock)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._client.give_back(self._origin, self._connection)


class Http1Response:
    """An UpstreamResponse on a connection of its own."""

    __slots__ = ("_clock", "_connection", "status")

    def __init__(self, connection: Http1Connection, clock: PhaseClock) -> None:
        self._connection = connection
        self._clock = clock
        self.status = connection.status

    def header(self, name: str) -> str:
        return self._connection.headers.get(name.encode("ascii"), b"").decode("latin-1")

    async def read(self, limit_bytes: int) -> bytes:
        if not self._connection.complete or self.header("content-encoding"):
            return await gathered(self.chunks(), limit_bytes)
        body = await self._connection.take()  # all of it came with the head
        self._clock.first_byte()
        if len(body) > limit_bytes:
            raise AnswerTooLargeError
        return body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        clock, take = self._clock, self._connection.take
        coding = self.header("content-encoding").lower()
        inflation = _Inflation(coding) if coding and coding != "identity" else None
        while True:
            with clock:
                data = await take()
            if not data:
                break
            clock.first_byte()
            if inflation is None:
                yield data
                continue
            for piece in inflation.pieces(data):
                yield piece
        if inflation is not None:
            inflation.end()


class _Inflation:
    """Uncompresses what was not asked to be compressed, in pieces of at most 1 MiB."""

    def __init__(self, coding: str) -> None:
        if coding not in {"gzip", "x-gzip", "deflate"}:
            raise BrokenConnectionError
        self._inflate = zlib.decompressobj(_ANY_ZLIB)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What the data stands for.

        Raises:
            BrokenConnectionError: It stands for nothing.
        """
        while data:
            try:
                piece = self._inflate.decompress(data, MIB)
            except zlib.error:
                raise BrokenConnectionError from None
            data = self._inflate.unconsumed_tail
            if piece:
                yield piece

    def end(self) -> None:
        """Check that it was whole.

        Raises:
            BrokenConnectionError: It was not.
        """
        if not self._inflate.eof:
            raise BrokenConnectionError


@lru_cache(maxsize=1024)
def _parsed(url: str) -> tuple[Origin, bytes, bytes]:
    """Where a URL leads, what is asked for there, and the value of `host`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), _IN_TARGETS)
    netloc = parts.netloc.rpartition("@")[2]
    host_value = netloc.encode("ascii" if netloc.isascii() else "idna")
    return Origin(parts.scheme, host, port), target.encode("ascii"), host_value


def _head(target: bytes, host: bytes, headers: Headers, length: int) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if not lines.count("\r") == lines.count("\n") == len(headers) or "\0" in lines:
        raise ValueError("a header holds a line end")
    if "accept-encoding" not in lines.lower():
        lines += "accept-encoding: identity\r\n"
    return b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-length: %d\r\n%b\r\n" % (
        target,
        host,
        length,
        lines.encode(),
    )
