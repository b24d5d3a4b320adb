"""What is found out about an upstream's answer while it passes, and what can be wrong with it.

AnswerError
├── MalformedAnswerError    the upstream said what cannot be understood
├── AnswerTooLongError      the upstream said more than can be told in the caller's dialect
└── CutStreamError          the upstream's stream ended before the answer did

None of them is a GatewayError: whoever runs the attempt turns them into a failure of the upstream.
"""

from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from meshgate.dialects.neutral import FinishReason, Usage

T = TypeVar("T")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for JSON that is none, or not as it must be, or nested too deeply."""


class AnswerError(Exception):
    """Something is wrong with an upstream's answer. The message holds nothing of its text."""


class MalformedAnswerError(AnswerError):
    """The upstream said what cannot be understood."""


class AnswerTooLongError(AnswerError):
    """The upstream said more than can be told in the caller's dialect."""


class CutStreamError(AnswerError):
    """The upstream's stream ended before the answer did."""


def decoded(decoder: "msgspec.json.Decoder[T]", data: bytes, problem: str) -> T:
    """Decode what an upstream has sent; `problem` says of what it is that it is not what it should be.

    Raises:
        MalformedAnswerError: It is not.
    """
    try:
        if not data.isascii():
            data.decode()  # the decoder does not look into the strings that it skips
        return decoder.decode(data)
    except UNREADABLE as error:
        raise MalformedAnswerError(problem) from error


class RequestHead(Struct, frozen=True):
    """What routing needs to know of a request before anything else is read.

    `include_usage` says whether the caller wants the usage at the end of a stream.
    `max_output_tokens` is the most that each of the `choices` may take, None where the caller sets
    no bound. `service_tier` is the one that is asked for, empty where none is. `asked` is what else
    the answer will consume, as far as the request says: pictures, characters, tokens of media. It is
    held, and booked where the upstream reports no usage. `is_free` says that nothing is used but a
    request, as where tokens are only counted.
    """

    model: str
    stream: bool = False
    include_usage: bool = False
    max_output_tokens: int | None = None
    choices: int = 1
    service_tier: str = ""
    asked: Usage | None = None
    is_free: bool = False


class AnswerGlance(Struct, frozen=True):
    """What is worth knowing about a plain answer that is passed on as it is."""

    served_model: str
    usage: Usage | None
    finish_reason: FinishReason


class UpstreamErrorDetail(Struct, frozen=True, kw_only=True):
    """What an upstream says it dislikes; empty where it does not say. Bounded in length.

    `retry_after_seconds` is when it wants to be asked again, where it says that in words of its own.
    """

    message: str = ""
    type: str = ""
    code: str = ""
    param: str = ""
    retry_after_seconds: float | None = None


class UpstreamErrorEvent(UpstreamErrorDetail, frozen=True, kw_only=True):
    """An error that the upstream reports inside a stream that began well; it ends the answer."""


class StreamProgress(Protocol):
    """What has been seen so far of a streamed answer.

    Once `error` is set or `done` is true, the rest of the upstream's bytes is ignored.
    """

    @property
    def started(self) -> bool: ...

    @property
    def done(self) -> bool: ...

    @property
    def served_model(self) -> str: ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def finish_reason(self) -> FinishReason: ...

    @property
    def error(self) -> UpstreamErrorEvent | None: ...


class AnswerStream(StreamProgress, Protocol):
    """A streamed answer on its way through: upstream bytes in, caller bytes out."""

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought and return whole events for the caller, maybe none.

        Raises:
            MalformedAnswerError: The upstream said what cannot be understood.
        """
        ...

    def close(self) -> bytes:
        """Take note of the upstream's end and return what the caller is still owed.

        Raises:
            CutStreamError: The answer was not whole.
        """
        ...
