"""The default client: reqwest, in Rust, by way of pyreqwest."""

import re
from collections import OrderedDict
from collections.abc import AsyncGenerator
from datetime import timedelta
from types import TracebackType

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    ConnectError,
    ConnectTimeoutError,
    RequestError,
)
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from meshgate.provider.phases import UNBOUNDED, Phase, PhaseClock, PhaseTimeoutError
from meshgate.provider.upstream import (
    MIB,
    AnswerTooLargeError,
    BrokenConnectionError,
    ClientOptions,
    ConnectFailedError,
    Headers,
)

# A body of a known length up to this is read in one go, a larger one piece by piece.
_ONE_GO_BYTES = MIB
# Idle connections are given up before upstreams and balancers commonly do, at 60 s and more.
_IDLE = timedelta(seconds=50)
_CONNECT_TIMEOUTS = 16
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class PyreqwestClient:
    """An UpstreamClient on pyreqwest.

    Raises:
        ValueError: The certificates or the proxy cannot be used.
    """

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._clients: OrderedDict[float, Client] = OrderedDict()
        self._client(options.connect_seconds)

    def post(self, url: str, headers: Headers, body: bytes, clock: PhaseClock) -> "_Call":
        client = self._client(min(self._options.connect_seconds, clock.timeouts.connect_seconds))
        request = (
            client.post(url)
            .headers(headers)
            .body_bytes(body)
            # By default the head is held back until 64 KB of the body, or all of it, have come.
            .streamed_read_buffer_limit(0)
            .build_streamed()
        )
        return _Call(request, clock)

    async def close(self) -> None:
        # Closing a pyreqwest client cuts its answers; without a reference it ends after them.
        self._clients.clear()

    def _client(self, connect_seconds: float) -> Client:
        """The client with that timeout: pyreqwest knows none of a single request.

        There are as many as models have different timeouts. The one that was used least recently
        goes when there are too many; what it has begun it still ends.
        """
        client = self._clients.get(connect_seconds)
        if client is None:
            client = self._clients[connect_seconds] = _build(self._options, connect_seconds)
            if len(self._clients) > _CONNECT_TIMEOUTS:
                self._clients.popitem(last=False)
        elif len(self._clients) > 1:
            self._clients.move_to_end(connect_seconds)
        return client


class _Call:
    __slots__ = ("_clock", "_request")

    def __init__(self, request: StreamRequest, clock: PhaseClock) -> None:
        self._request = request
        self._clock = clock

    async def __aenter__(self) -> "PyreqwestResponse":
        try:
            with self._clock:
                response = await self._request.__aenter__()
        except ConnectTimeoutError:
            raise PhaseTimeoutError(Phase.CONNECT) from None
        except ConnectError:
            raise ConnectFailedError from None
        except RequestError:
            raise BrokenConnectionError from None
        return PyreqwestResponse(response, self._clock)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._request.__aexit__(kind, error, traceback)


class PyreqwestResponse:
    """An UpstreamResponse on pyreqwest."""

    __slots__ = ("_clock", "_response", "status")

    def __init__(self, response: Response, clock: PhaseClock) -> None:
        self._response = response
        self._clock = clock
        self.status = response.status

    def header(self, name: str) -> str:
        return self._response.get_header(name) or ""

    async def read(self, limit_bytes: int) -> bytes:
        length = self.header("content-length")
        if not length.isdecimal() or int(length) > min(limit_bytes, _ONE_GO_BYTES):
            return await self._read_pieces(limit_bytes)
        try:
            with self._clock:
                body = await self._response.bytes()
        except RequestError:
            raise BrokenConnectionError from None
        self._clock.first_byte()
        return body.to_bytes()

    async def _read_pieces(self, limit_bytes: int) -> bytes:
        body = bytearray()
        async for piece in self.chunks():
            body += piece
            if len(body) > limit_bytes:
                raise AnswerTooLargeError
        return bytes(body)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        clock = self._clock
        read = self._response.body_reader.read_chunk
        while True:
            try:
                with clock:
                    chunk = await read()
            except RequestError:
                raise BrokenConnectionError from None
            if chunk is None:
                return
            clock.first_byte()
            yield chunk.to_bytes()


def _build(options: ClientOptions, connect_seconds: float) -> Client:
    builder = (
        ClientBuilder()
        .follow_redirects(False)  # noqa: FBT003 - the builder's own way
        .referer(False)  # noqa: FBT003
        .no_proxy()
        .pool_idle_timeout(_IDLE)
    )
    if connect_seconds != UNBOUNDED:
        builder = builder.connect_timeout(timedelta(seconds=connect_seconds))
    try:
        for certificate in _certificates(options.ca_pem):
            builder = builder.add_root_certificate_pem(certificate)
        if options.proxy:
            builder = builder.proxy(ProxyBuilder.all(options.proxy))
        return builder.build()
    except (BuilderError, RequestError):
        # Its text may hold the proxy's password.
        raise ValueError("the certificates or the proxy cannot be used") from None


def _certificates(pem: bytes) -> list[bytes]:
    found = _CERTIFICATE.findall(pem)
    if pem and not found:
        raise ValueError("the file of certificates holds none")
    return found
