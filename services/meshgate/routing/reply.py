"""What goes back to the client."""

from typing import Protocol, Self

from msgspec import Struct

from meshgate.routing.bill import Bill
from meshgate.routing.peers.provider import Headers


class AnswerChunks(Protocol):
    """The pieces of a streamed answer, each whole events; to be closed."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """Give up what is still to come."""
        ...


class Reply(Struct, frozen=True):
    """What goes back to the client.

    Attributes:
        headers: What is told beside the answer.
        bill: What it has cost.
        body: The whole answer, or
        chunks: the pieces of a streamed one, each whole events; to be closed.
    """

    headers: Headers
    bill: Bill
    body: bytes = b""
    chunks: AnswerChunks | None = None
