"""What arrived at the fake upstream, and what became of it."""

from typing import Any, Literal

import msgspec

from upstream.notice import Notice

Outcome = Literal["open", "answered", "broken_off", "client_gone"]


class Request(msgspec.Struct, kw_only=True):
    """One request, as it came.

    Args:
        number: Order of arrival, from 0.
        connection: Which connection it came on, from 0.
        headers: In order, as spelt.
        raw_body: The bytes (base64 in JSON).
        body: The JSON in them, None if there is none.
        outcome: `broken_off` is a fault of ours, `client_gone` means that the client left first.
        events_sent: Events of a stream that were written whole, `[DONE]` included.
        bytes_sent: Bytes of body handed to the kernel.
        stalls: Writes that had to wait for the client to read.
    """

    number: int
    connection: int
    method: str
    path: str
    headers: list[tuple[str, str]]
    raw_body: bytes
    body: Any = None
    outcome: Outcome = "open"
    events_sent: int = 0
    bytes_sent: int = 0
    stalls: int = 0

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return isinstance(self.body, dict) and self.body.get("stream") is True


class Records:
    """All requests since the start or the last reset."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._notice = Notice()

    def add(self, request: Request) -> None:
        self.requests.append(request)
        self._notice.tell()

    def changed(self) -> None:
        """A record has a new outcome or another event."""
        self._notice.tell()

    def reset(self) -> None:
        self.requests.clear()

    async def arrival(self, number: int) -> Request:
        """Waits for the request of that number to have come, whole."""
        await self._notice.until(lambda: len(self.requests) > number)
        return self.requests[number]

    async def ending(self, number: int) -> Request:
        """Waits for the request of that number to have been answered, or not."""
        request = await self.arrival(number)
        await self._notice.until(lambda: request.outcome != "open")
        return request

    async def events(self, number: int, sent: int) -> Request:
        """Waits until that many events of the answer have been written."""
        request = await self.arrival(number)
        await self._notice.until(lambda: request.events_sent >= sent)
        return request

    async def stall(self, number: int) -> Request:
        """Waits until a write of the answer has to wait for the client to read."""
        request = await self.arrival(number)
        await self._notice.until(lambda: request.stalls > 0)
        return request
