"""What every chat dialect can do, so that any two of them can be put together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from meshgate.dialects.answers import RequestHead, UpstreamErrorEvent
from meshgate.dialects.neutral import ChatEvent, ChatRequest, ChatResponse, FinishReason, Usage


class RequestHeadReader(Protocol):
    """Reads what routing needs of a request."""

    def __call__(self, body: bytes, /) -> RequestHead: ...


class RequestReader(Protocol):
    """Reads a request."""

    def __call__(self, body: bytes, /) -> ChatRequest: ...


class RequestWriter(Protocol):
    """Writes a request to `model`; it asks for no more than `output_cap` tokens, if there is one."""

    def __call__(
        self, request: ChatRequest, model: str, *, stream: bool, output_cap: int | None = None
    ) -> bytes: ...


class ResponseReader(Protocol):
    """Reads a whole answer."""

    def __call__(self, body: bytes, /) -> ChatResponse: ...


class ResponseWriter(Protocol):
    """Writes a whole answer; `created` is in seconds since 1970."""

    def __call__(self, response: ChatResponse, *, created: int) -> bytes: ...


class StreamReader(Protocol):
    """Reads one streamed answer, and tells what it has seen."""

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

    def feed(self, data: bytes) -> list[ChatEvent]: ...

    def close(self) -> list[ChatEvent]: ...


class StreamReaderFactory(Protocol):
    """Begins to read a streamed answer."""

    def __call__(self) -> StreamReader: ...


class StreamWriter(Protocol):
    """Writes one streamed answer."""

    def write(self, events: Iterable[ChatEvent]) -> bytes: ...


class StreamWriterFactory(Protocol):
    """Begins to write a streamed answer."""

    def __call__(self, *, created: int, include_usage: bool) -> StreamWriter: ...


@dataclass(frozen=True)
class CallerDialect:
    """The jobs of a dialect that only callers speak: to read what they ask, and to answer.

    `own_names` are its names for fields of a request which the neutral form calls otherwise.
    """

    read_head: RequestHeadReader
    read_request: RequestReader
    write_response: ResponseWriter
    stream_writer: StreamWriterFactory
    own_names: Mapping[str, str] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class RetoldDialect(CallerDialect):
    """The jobs of a dialect whose answers can be read again, to be told in another way."""

    read_response: ResponseReader
    stream_reader: StreamReaderFactory


@dataclass(frozen=True)
class UpstreamDialect:
    """The jobs of a dialect that only upstreams speak: to ask them, and to read their answers."""

    write_request: RequestWriter
    read_response: ResponseReader
    stream_reader: StreamReaderFactory


@dataclass(frozen=True)
class ChatDialect(RetoldDialect, UpstreamDialect):
    """The jobs of a dialect that callers and upstreams speak."""
