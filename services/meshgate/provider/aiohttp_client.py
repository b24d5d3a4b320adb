"""The default client: aiohttp, on the event loop of the service."""

import io
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from meshgate.provider.phases import UNBOUNDED, Phase, PhaseClock, PhaseTimeoutError
from meshgate.provider.trust import trust
from meshgate.provider.upstream import (
    MIB,
    BrokenConnectionError,
    ClientOptions,
    ConnectFailedError,
    Headers,
    StreamedBody,
    UpstreamCallError,
    gathered,
)

T = TypeVar("T")

# Idle connections are given up before upstreams and balancers commonly do, at 60 s and more.
_IDLE_SECONDS = 50.0
_HEADER_BYTES = 64 * 1024
# Larger bodies are sent in pieces, so that others have their turn on the loop.
_ONE_WRITE_BYTES = MIB
_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError)


class AiohttpClient:
    """An UpstreamClient on aiohttp.

    Raises:
        ValueError: The certificates or the proxy cannot be used.
    """

    def __init__(self, options: ClientOptions) -> None:
        self._connect_seconds = options.connect_seconds
        self._trust = trust(options.ca_pem)
        self._proxy = _proxy(options.proxy)
        self._urls: dict[str, URL] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._session: aiohttp.ClientSession | None = None
        self._open_calls = 0
        self._closing = False

    def post(
        self, url: str, headers: Headers, body: bytes | StreamedBody, clock: PhaseClock
    ) -> "_Call":
        return _Call(self, url, headers, body, clock)

    async def close(self) -> None:
        self._closing = True
        if self._session is not None and not self._open_calls:
            await self._session.close()

    async def send(
        self, url: str, headers: Headers, body: bytes | StreamedBody, connect_seconds: float
    ) -> aiohttp.ClientResponse:
        """Send a request. Whatever comes of it, `end` must be called."""
        self._open_calls += 1
        # A session belongs to a loop, and clients are made where none runs.
        session = self._session = self._session or self._open_session()
        data: Any = body
        if isinstance(body, StreamedBody):
            data = body.pieces
            headers = (*headers, ("content-length", str(body.length)))
        elif len(body) > _ONE_WRITE_BYTES:
            data = io.BytesIO(body)
        return await session.post(
            self._url(url),
            data=data,
            headers=CIMultiDict(headers),
            allow_redirects=False,
            proxy=self._proxy,
            timeout=self._timeout(min(connect_seconds, self._connect_seconds)),
        )

    async def end(self) -> None:
        """Take note that a call has ended; the last one closes a client that was told to close."""
        self._open_calls -= 1
        if self._closing:
            await self.close()

    def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=self._trust, keepalive_timeout=_IDLE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )

    def _url(self, text: str) -> URL:
        """The parsed URL: there are as many as the upstream has endpoints."""
        url = self._urls.get(text)
        if url is None:
            url = self._urls[text] = URL(text)
        return url

    def _timeout(self, connect_seconds: float) -> aiohttp.ClientTimeout:
        """The timeout for connecting: there are as many as models have different ones."""
        timeout = self._timeouts.get(connect_seconds)
        if timeout is None:
            seconds = None if connect_seconds == UNBOUNDED else connect_seconds
            timeout = self._timeouts[connect_seconds] = aiohttp.ClientTimeout(
                total=None, sock_connect=seconds
            )
        return timeout


class _Call:
    __slots__ = ("_body", "_client", "_clock", "_headers", "_response", "_url")

    def __init__(
        self,
        client: AiohttpClient,
        url: str,
        headers: Headers,
        body: bytes | StreamedBody,
        clock: PhaseClock,
    ) -> None:
        self._client = client
        self._url = url
        self._headers = headers
        self._body = body
        self._clock = clock
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> "AiohttpResponse":
        try:
            with self._clock:
                self._response = await self._client.send(
                    self._url, self._headers, self._body, self._clock.timeouts.connect_seconds
                )
        except BaseException as error:
            await self._client.end()
            if isinstance(error, _BROKEN):
                raise _meaning_of(error) from None
            raise
        return AiohttpResponse(self._response, self._clock)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._response is not None:
            # Closes the connection if the answer was not read to its end.
            self._response.release()
        await self._client.end()


class AiohttpResponse:
    """An UpstreamResponse on aiohttp."""

    __slots__ = ("_clock", "_response", "status")

    def __init__(self, response: aiohttp.ClientResponse, clock: PhaseClock) -> None:
        self._response = response
        self._clock = clock
        self.status = response.status

    def header(self, name: str) -> str:
        return self._response.headers.get(name, "")

    async def read(self, limit_bytes: int) -> bytes:
        length = self._response.content_length
        if length is None or length > limit_bytes or "content-encoding" in self._response.headers:
            return await gathered(self.chunks(), limit_bytes)
        body = await self._in_time(self._response.read)
        self._clock.first_byte()
        return body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        content = self._response.content
        while chunk := await self._in_time(content.readany):
            self._clock.first_byte()
            yield chunk

    async def _in_time(self, read: Callable[[], Awaitable[T]]) -> T:
        try:
            with self._clock:
                return await read()
        except _BROKEN:
            raise BrokenConnectionError from None


def _meaning_of(error: BaseException) -> UpstreamCallError | PhaseTimeoutError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return PhaseTimeoutError(Phase.CONNECT)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError):
        return ConnectFailedError()
    return BrokenConnectionError()


def _proxy(address: str) -> URL | None:
    if not address:
        return None
    try:
        proxy = URL(address)
    except ValueError:
        proxy = URL()
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        # Says nothing of the address: it may hold a password.
        raise ValueError("the proxy cannot be used")
    return proxy
