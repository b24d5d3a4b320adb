"""One attempt: what is asked of an upstream, and what comes of it."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, TypeAlias

from msgspec import Struct

from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.provider.phases import PhaseTimeouts

Headers: TypeAlias = tuple[tuple[str, str], ...]


class Attempt(Struct, frozen=True, kw_only=True):
    """A request of a caller, for one upstream.

    `dialect` is the format of `body` and of the answer, by its name among the dialects; `model` is
    the upstream's name, which takes the place of the one in the body. The upstream is asked for
    `output_cap` tokens at most, for each choice, if it is given, and told the `traceparent`.
    `headers` are those of the caller that some upstreams are told. Where the body is a form, `upload`
    holds its files, one after the other.
    """

    model: str
    dialect: str
    body: bytes
    timeouts: PhaseTimeouts
    request_id: str = ""
    traceparent: str = ""
    output_cap: int | None = None
    headers: Headers = ()
    upload: AsyncIterator[bytes] | None = None


class Timings(Struct, frozen=True):
    """What an attempt spent its time on: up to the first byte of the answer's body, and in all."""

    first_byte_seconds: float
    total_seconds: float


class Answer(Struct, frozen=True, kw_only=True):
    """A plain answer, in the caller's dialect. `headers` are those that clients may see."""

    body: bytes
    served_model: str
    usage: Usage | None
    finish_reason: FinishReason
    timings: Timings
    headers: Headers = ()


class StreamHead(Struct, frozen=True):
    """A streamed answer has begun well. `headers` are those that clients may see."""

    headers: Headers = ()


class StreamDone(Struct, frozen=True, kw_only=True):
    """A streamed answer is whole."""

    served_model: str
    usage: Usage | None
    finish_reason: FinishReason
    timings: Timings


Step: TypeAlias = StreamHead | bytes | StreamDone
"""One step of a streamed answer; bytes are whole events in the caller's dialect."""


class Upstream(Protocol):
    """What runs attempts at one provider."""

    async def answer(self, attempt: Attempt) -> Answer:
        """The plain answer to an attempt.

        Raises:
            AttemptFailedError: The upstream did something wrong.
            InvalidRequestError: The request cannot be read.
            UnsupportedError: The request cannot be expressed for this upstream.
        """
        ...

    def stream(self, attempt: Attempt) -> AsyncGenerator[Step, None]:
        """The streamed answer: one head, then chunks, then done. Closing it ends the work.

        Raises:
            AttemptFailedError: The upstream did something wrong, before the head or after it.
            InvalidRequestError: The request cannot be read.
            UnsupportedError: The request cannot be expressed for this upstream.
        """
        ...

    async def close(self) -> None:
        """Give back what is held, when what was begun has ended."""
        ...
