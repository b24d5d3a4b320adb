"""What stands between a caller and an upstream: bytes of one in, bytes of the other out."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from meshgate.dialects.answers import AnswerGlance, AnswerStream, RequestHead


class CallerAnswer(Struct, frozen=True):
    """A plain answer as the caller wants it, and what was seen in it."""

    body: bytes
    glance: AnswerGlance


class UpstreamRequest(Struct, frozen=True):
    """A request as the upstream wants it, and what its caller's head said.

    Attributes:
        body: The request.
        head: What routing knew of it.
        read_answer: Turns its answer, where that is written as the request wants it; None where it is
            the same for all, and the translator's own `answer` does.
    """

    body: bytes
    head: RequestHead
    read_answer: Callable[[bytes], CallerAnswer] | None = None


class Translator(Protocol):
    """Turns requests of a caller's dialect into an upstream's, and its answers back."""

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        """Turn a request; `model` is the upstream's name for it.

        The upstream is asked for `output_cap` tokens at most (> 0), for each choice, if it is
        given; or for fewer, where the caller asks for fewer.

        Raises:
            InvalidRequestError: The request is malformed.
            UnsupportedError: The upstream's dialect cannot express something.
        """
        ...

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        """Turn a plain answer; `created` is in seconds since 1970.

        Raises:
            MalformedAnswerError: It cannot be understood.
        """
        ...

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        """Begin to turn a streamed answer. `include_usage` stands in the request's head."""
        ...
