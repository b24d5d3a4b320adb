"""What stands between a caller of one dialect and an upstream of another.

`translator("openai_chat", "openai_chat")` passes bytes through; other pairs go by way of the
neutral form. Whoever runs the request need not know which.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from meshgate.dialects.answers import AnswerGlance, AnswerStream, RequestHead, UpstreamErrorEvent
from meshgate.dialects.chat_dialect import (
    CallerDialect,
    ChatDialect,
    StreamReader,
    StreamWriter,
    UpstreamDialect,
)
from meshgate.dialects.media import MEDIA
from meshgate.dialects.media_dialect import MediaDialect
from meshgate.dialects.meshgate_chat.dialect import DIALECT as MESHGATE_CHAT
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.openai_chat import passthrough as openai_chat
from meshgate.dialects.openai_chat.dialect import DIALECT as OPENAI_CHAT
from meshgate.dialects.openai_chat.dialect import dialect as openai_chat_dialect
from meshgate.dialects.openai_completions import passthrough as openai_completions
from meshgate.dialects.openai_completions.dialect import DIALECT as OPENAI_COMPLETIONS
from meshgate.dialects.openai_embeddings import passthrough as openai_embeddings
from meshgate.dialects.openai_embeddings.read_request import read_head as read_embeddings_head
from meshgate.runtime.errors import UnsupportedError

CHAT_DIALECTS: dict[str, ChatDialect] = {
    "openai_chat": OPENAI_CHAT,
    "meshgate_chat": MESHGATE_CHAT,
}
"""The dialects that callers and upstreams speak."""

CALLER_DIALECTS: dict[str, CallerDialect] = {
    **CHAT_DIALECTS,
    "openai_completions": OPENAI_COMPLETIONS,
}
"""Those and the ones that only callers speak, where somebody else answers."""

UPSTREAM_DIALECTS: dict[str, UpstreamDialect] = {**CHAT_DIALECTS}
"""Those and the ones that only upstreams speak."""


class UpstreamRequest(Struct, frozen=True):
    """A request as the upstream wants it, and what its caller's head said."""

    body: bytes
    head: RequestHead


class CallerAnswer(Struct, frozen=True):
    """A plain answer as the caller wants it, and what was seen in it."""

    body: bytes
    glance: AnswerGlance


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


def translator(
    caller_dialect: str, upstream_dialect: str, bound: OutputBound = OutputBound.MAX_TOKENS
) -> Translator:
    """Return what stands between the two dialects.

    `bound` matters to upstreams with OpenAI's format: how they are told of a cap where the caller
    has set no bound. Where it has, its own member is kept.

    Raises:
        UnsupportedError: Nothing does.
    """
    if caller_dialect == upstream_dialect and (media := MEDIA.get(caller_dialect)):
        return MediaPassthrough(media)
    if caller_dialect == upstream_dialect and (passthrough := _PASSTHROUGHS.get(caller_dialect)):
        return passthrough(bound)
    caller, upstream = CALLER_DIALECTS.get(caller_dialect), _upstream(upstream_dialect, bound)
    if caller is None or upstream is None or caller_dialect in _UNTRANSLATED:
        raise UnsupportedError(
            f"a request in {caller_dialect} cannot be run at an upstream that speaks"
            f" {upstream_dialect}",
            caller_dialect=caller_dialect,
            upstream_dialect=upstream_dialect,
        )
    return ChatTranslation(caller, upstream)


def _upstream(dialect: str, bound: OutputBound) -> UpstreamDialect | None:
    if dialect == "openai_chat":
        return openai_chat_dialect(bound)
    return UPSTREAM_DIALECTS.get(dialect)


@dataclass(frozen=True)
class ChatPassthrough:
    """Chat completions for an upstream that speaks them too."""

    bound: OutputBound = OutputBound.MAX_TOKENS

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        """Replace the model's name. Whether to stream stands in the body already."""
        del stream
        head = OPENAI_CHAT.read_head(body)
        written = openai_chat.retarget(body, model, head, output_cap, self.bound)
        return UpstreamRequest(written, head)

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        """Pass the answer on, which has a `created` of its own."""
        del created
        return CallerAnswer(body, openai_chat.glance(body))

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        """Follow the stream, whose chunks have a `created` of their own."""
        del created
        return openai_chat.StreamTracker(include_usage=include_usage)


class CompletionsPassthrough:
    """Completions for an upstream that speaks them too."""

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        """Replace the model's name. Whether to stream stands in the body already."""
        del stream
        head = OPENAI_COMPLETIONS.read_head(body)
        return UpstreamRequest(openai_completions.retarget(body, model, head, output_cap), head)

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        """Pass the answer on, which has a `created` of its own."""
        del created
        return CallerAnswer(body, openai_completions.glance(body))

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        """Follow the stream, whose chunks have a `created` of their own."""
        del created
        return openai_completions.StreamTracker(include_usage=include_usage)


class EmbeddingsPassthrough:
    """Embeddings for an upstream that speaks the same dialect."""

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        """Replace the model's name. There are no streams, and no output to be capped."""
        del stream, output_cap
        head = read_embeddings_head(body)
        return UpstreamRequest(openai_embeddings.retarget(body, model, head), head)

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        """Pass the answer on."""
        del created
        return CallerAnswer(body, openai_embeddings.glance(body))

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        """Refuse: embeddings are not streamed."""
        raise UnsupportedError("embeddings are not streamed", field="stream")


@dataclass(frozen=True)
class MediaPassthrough:
    """Pictures, sounds, judgements and rankings, for an upstream that has the same API."""

    media: MediaDialect

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        """Replace the model's name. Whether to stream stands in the body; nothing can be capped."""
        del stream, output_cap
        head = self.media.read_head(body)
        return UpstreamRequest(self.media.retarget(body, model, head), head)

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        """Pass the answer on."""
        del created
        return CallerAnswer(body, self.media.glance(body))

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        """Follow the stream."""
        del created
        return self.media.stream(include_usage)


@dataclass(frozen=True)
class ChatTranslation:
    """Chats by way of the neutral form."""

    caller: CallerDialect
    upstream: UpstreamDialect

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        """Translate a request."""
        head = self.caller.read_head(body)
        neutral = self.caller.read_request(body)
        written = self.upstream.write_request(neutral, model, stream=stream, output_cap=output_cap)
        return UpstreamRequest(written, head)

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        """Translate a plain answer."""
        response = self.upstream.read_response(body)
        glance = AnswerGlance(response.served_model, response.usage, response.finish_reason)
        return CallerAnswer(self.caller.write_response(response, created=created), glance)

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        """Begin to translate a streamed answer."""
        writer = self.caller.stream_writer(created=created, include_usage=include_usage)
        return TranslatedStream(self.upstream.stream_reader(), writer)


class TranslatedStream:
    """A streamed answer, translated as it passes. Its attributes are the reader's."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def started(self) -> bool:
        return self._reader.started

    @property
    def done(self) -> bool:
        return self._reader.done

    @property
    def served_model(self) -> str:
        return self._reader.served_model

    @property
    def usage(self) -> Usage | None:
        return self._reader.usage

    @property
    def finish_reason(self) -> FinishReason:
        return self._reader.finish_reason

    @property
    def error(self) -> UpstreamErrorEvent | None:
        return self._reader.error

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought and return it in the caller's dialect, maybe empty."""
        return self._writer.write(self._reader.feed(data))

    def close(self) -> bytes:
        """Take the upstream's end and return what the caller is still owed."""
        return self._writer.write(self._reader.close())


def _embeddings_passthrough(_bound: OutputBound) -> Translator:
    return EmbeddingsPassthrough()


def _completions_passthrough(_bound: OutputBound) -> Translator:
    return CompletionsPassthrough()


_PASSTHROUGHS: dict[str, Callable[[OutputBound], Translator]] = {
    "openai_chat": ChatPassthrough,
    "openai_completions": _completions_passthrough,
    "openai_embeddings": _embeddings_passthrough,
}
# Read for what the demo provider answers, and told by nobody else.
_UNTRANSLATED = frozenset({"openai_completions"})
