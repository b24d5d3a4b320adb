"""The fallback client: httpx, in Python. Slower by far, and without anything native."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Any

import httpx

from meshgate.provider.phases import UNBOUNDED, Phase, PhaseClock, PhaseTimeoutError
from meshgate.provider.trust import trust
from meshgate.provider.upstream import (
    BrokenConnectionError,
    ClientOptions,
    ConnectFailedError,
    Headers,
    StreamedBody,
    gathered,
)

_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=50.0)


class HttpxClient:
    """An UpstreamClient on httpx.

    Raises:
        ValueError: The certificates or the proxy cannot be used.
    """

    def __init__(self, options: ClientOptions) -> None:
        self._connect_seconds = options.connect_seconds
        self._client = _build(options)
        self._open_calls = 0
        self._closing = False

    def post(
        self, url: str, headers: Headers, body: bytes | StreamedBody, clock: PhaseClock
    ) -> "_Call":
        connect_seconds = min(self._connect_seconds, clock.timeouts.connect_seconds)
        timeout = httpx.Timeout(
            None, connect=None if connect_seconds == UNBOUNDED else connect_seconds
        )
        content: bytes | AsyncIterator[bytes]
        if isinstance(body, bytes):
            content = body
        else:
            content = body.pieces
            headers = (*headers, ("content-length", str(body.length)))
        request = self._client.build_request(
            "POST", url, headers=list(headers), content=content, timeout=timeout
        )
        return _Call(self, request, clock)

    async def close(self) -> None:
        self._closing = True
        if not self._open_calls:
            await self._client.aclose()

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer must be given back to `end`."""
        self._open_calls += 1
        made: list[Any] = []

        async def trace(event: str, about: dict[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                made.append(about["return_value"])

        request.extensions["trace"] = trace
        try:
            return await self._client.send(request, stream=True)
        except BaseException:
            # httpcore does not close what it had made and not begun to use when a caller left. It keeps
            # its record of that, too, until this client is closed: there is no way to it from here.
            for connection in made:
                await connection.aclose()
            await self.end(None)
            raise

    async def end(self, response: httpx.Response | None) -> None:
        """Take an answer back; the last one closes a client that was told to close."""
        self._open_calls -= 1
        try:
            if response is not None:
                await response.aclose()
        finally:
            if self._closing:
                await self.close()


class _Call:
    def __init__(self, client: HttpxClient, request: httpx.Request, clock: PhaseClock) -> None:
        self._client = client
        self._request = request
        self._clock = clock
        self._response: httpx.Response | None = None

    async def __aenter__(self) -> "HttpxResponse":
        try:
            with self._clock:
                self._response = await self._client.send(self._request)
        except httpx.ConnectTimeout:
            raise PhaseTimeoutError(Phase.CONNECT) from None
        except (httpx.ConnectError, httpx.ProxyError):
            raise ConnectFailedError from None
        except httpx.HTTPError:
            raise BrokenConnectionError from None
        return HttpxResponse(self._response, self._clock)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.end(self._response)


class HttpxResponse:
    """An UpstreamResponse on httpx."""

    def __init__(self, response: httpx.Response, clock: PhaseClock) -> None:
        self._response = response
        self._clock = clock
        self.status = response.status_code

    def header(self, name: str) -> str:
        value: str = self._response.headers.get(name, "")
        return value

    async def read(self, limit_bytes: int) -> bytes:
        return await gathered(self.chunks(), limit_bytes)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        clock = self._clock
        async with aclosing(self._response.aiter_bytes()) as pieces:  # type: ignore[type-var]
            while True:
                try:
                    with clock:
                        chunk = await anext(pieces, None)
                except httpx.HTTPError:
                    raise BrokenConnectionError from None
                if chunk is None:
                    return
                clock.first_byte()
                if chunk:
                    yield chunk


def _build(options: ClientOptions) -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(
            verify=trust(options.ca_pem),
            proxy=options.proxy or None,
            limits=_LIMITS,
            follow_redirects=False,
            trust_env=False,
        )
    except ValueError:
        # Its text may hold the proxy's password.
        raise ValueError("the certificates or the proxy cannot be used") from None
