"""The port to upstreams: POST requests over HTTP, and what can go wrong with them.

UpstreamCallError
├── ConnectFailedError       no connection came about
├── BrokenConnectionError    the connection broke before the answer was whole
└── AnswerTooLargeError      the answer is larger than the gateway takes

A phase that takes too long is a PhaseTimeoutError. None of them is a GatewayError, and none of
them says where the upstream is: the attempt turns them into a failure.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from meshgate.provider.phases import UNBOUNDED, PhaseClock

MIB = 1 << 20
PLAIN_ANSWER_LIMIT_BYTES = 64 * MIB

Headers = Sequence[tuple[str, str]]


class UpstreamCallError(Exception):
    """A call to an upstream did not end well."""


class ConnectFailedError(UpstreamCallError):
    """No connection came about."""


class BrokenConnectionError(UpstreamCallError):
    """The connection broke before the answer was whole."""


class AnswerTooLargeError(UpstreamCallError):
    """The answer is larger than the gateway takes."""


class StreamedBody(Struct, frozen=True):
    """The body of a request that is not held in memory, and can be sent once.

    Attributes:
        length: In bytes.
        pieces: All of it. What they raise ends the call.
    """

    length: int
    pieces: AsyncIterator[bytes]


class UpstreamResponse(Protocol):
    """An answer whose head has come."""

    @property
    def status(self) -> int: ...

    def header(self, name: str) -> str:
        """The first value of a header, empty if there is none; `name` is in lower case."""
        ...

    async def read(self, limit_bytes: int) -> bytes:
        """The body, uncompressed.

        Raises:
            AnswerTooLargeError: It has more than `limit_bytes`.
            BrokenConnectionError: It ended before it was whole.
            PhaseTimeoutError: It did not begin in time, or did not end in time.
        """
        ...

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body, uncompressed, piece by piece as it comes. Close what is not read to its end.

        Raises:
            BrokenConnectionError: It ended before it was whole.
            PhaseTimeoutError: It did not begin, go on or end in time.
        """
        ...


async def gathered(pieces: AsyncGenerator[bytes, None], limit_bytes: int) -> bytes:
    """All pieces of a body.

    Raises:
        AnswerTooLargeError: They are more than `limit_bytes`.
    """
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > limit_bytes:
            raise AnswerTooLargeError
    return bytes(body)


class UpstreamClient(Protocol):
    """Sends requests to one upstream and keeps its connections.

    Redirects are not followed, and proxies in the environment are not used.
    """

    def post(
        self, url: str, headers: Headers, body: bytes | StreamedBody, clock: PhaseClock
    ) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Send a request; entering waits for the head, leaving early closes the connection.

        Raises:
            ConnectFailedError: No connection came about.
            BrokenConnectionError: The connection broke.
            PhaseTimeoutError: It took longer than the clock's timeouts allow.
        """
        ...

    async def close(self) -> None:
        """Close the connections: idle ones at once, the others when their answers have ended."""
        ...


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """What is particular to the connections of one provider.

    Attributes:
        connect_seconds: Bounds connecting; the shorter of it and the attempt's own holds.
        ca_pem: Certificates to trust in place of the system's; None for the system's.
        proxy: The HTTP proxy to go through, maybe with a password; empty for none.
    """

    connect_seconds: float = UNBOUNDED
    ca_pem: bytes | None = None
    proxy: str = field(default="", repr=False)


class ClientFactory(Protocol):
    """Makes a client for one provider."""

    def __call__(self, options: ClientOptions) -> UpstreamClient:
        """Make a client.

        Raises:
            ValueError: The certificates or the proxy cannot be used.
        """
        ...
