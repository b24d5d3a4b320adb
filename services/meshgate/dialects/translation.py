"""What stands between a caller of one dialect and an upstream of another.

`translator("openai_chat", "openai_chat")` passes bytes through; other pairs go by way of the
neutral form. Whoever runs the request need not know which.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from meshgate.dialects.answers import AnswerGlance, AnswerStream, UpstreamErrorEvent
from meshgate.dialects.anthropic_messages.dialect import DIALECT as ANTHROPIC_MESSAGES
from meshgate.dialects.bedrock_converse.dialect import DIALECT as BEDROCK_CONVERSE
from meshgate.dialects.chat_dialect import (
    CallerDialect,
    ChatDialect,
    StreamReader,
    StreamWriter,
    UpstreamDialect,
)
from meshgate.dialects.cohere_chat.dialect import DIALECT as COHERE_CHAT
from meshgate.dialects.embeddings_translation import embeddings_translation
from meshgate.dialects.field_names import as_said
from meshgate.dialects.gemini_generate.dialect import DIALECT as GEMINI_GENERATE
from meshgate.dialects.meshgate_chat.dialect import DIALECT as MESHGATE_CHAT
from meshgate.dialects.neutral import FinishReason, Started, Usage
from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.openai_chat.dialect import DIALECT as OPENAI_CHAT
from meshgate.dialects.openai_chat.dialect import dialect as openai_chat_dialect
from meshgate.dialects.openai_chat.variant import Variant
from meshgate.dialects.openai_completions.dialect import DIALECT as OPENAI_COMPLETIONS
from meshgate.dialects.openai_responses.dialect import DIALECT as OPENAI_RESPONSES
from meshgate.dialects.passthroughs import passthrough
from meshgate.dialects.translator import CallerAnswer, Translator, UpstreamRequest
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

CHAT_DIALECTS: dict[str, ChatDialect] = {
    "openai_chat": OPENAI_CHAT,
    "openai_responses": OPENAI_RESPONSES,
    "anthropic_messages": ANTHROPIC_MESSAGES,
    "gemini_generate": GEMINI_GENERATE,
    "meshgate_chat": MESHGATE_CHAT,
}
"""The dialects that callers and upstreams speak."""

CALLER_DIALECTS: dict[str, CallerDialect] = {
    **CHAT_DIALECTS,
    "openai_completions": OPENAI_COMPLETIONS,
}
"""Those and the ones that only callers speak, where somebody else answers."""

UPSTREAM_DIALECTS: dict[str, UpstreamDialect] = {
    **CHAT_DIALECTS,
    "bedrock_converse": BEDROCK_CONVERSE,
    "cohere_chat": COHERE_CHAT,
}
"""Those and the ones that only upstreams speak."""

# Read for what the demo provider answers, and told by nobody else.
_UNTRANSLATED = frozenset({"openai_completions"})


def translator(
    caller_dialect: str,
    upstream_dialect: str,
    bound: OutputBound = OutputBound.MAX_TOKENS,
    variant: Variant | None = None,
) -> Translator:
    """Return what stands between the two dialects.

    Args:
        caller_dialect: What the caller speaks.
        upstream_dialect: What the upstream speaks.
        bound: How upstreams with OpenAI's format are told of a cap where the caller has set no
            bound. Where it has, its own member is kept.
        variant: How the upstream differs from OpenAI, if it speaks chat completions; `bound` is its
            own then.

    Raises:
        UnsupportedError: Nothing does.
    """
    variant = variant or Variant(output_bound=bound)
    if caller_dialect == upstream_dialect and (passes := passthrough(caller_dialect, variant)):
        return passes
    if (embeddings := embeddings_translation(caller_dialect, upstream_dialect)) is not None:
        return embeddings
    caller, upstream = CALLER_DIALECTS.get(caller_dialect), _upstream(upstream_dialect, variant)
    if caller is None or upstream is None or caller_dialect in _UNTRANSLATED:
        raise UnsupportedError(
            f"a request in {caller_dialect} cannot be run at an upstream that speaks"
            f" {upstream_dialect}",
            caller_dialect=caller_dialect,
            upstream_dialect=upstream_dialect,
        )
    return ChatTranslation(caller, upstream)


def _upstream(dialect: str, variant: Variant) -> UpstreamDialect | None:
    if dialect == "openai_chat":
        return openai_chat_dialect(variant)
    return UPSTREAM_DIALECTS.get(dialect)


@dataclass(frozen=True)
class ChatTranslation:
    """Chats by way of the neutral form.

    `model` is what an answer is said to be of where the upstream does not say it.
    """

    caller: CallerDialect
    upstream: UpstreamDialect
    model: str = ""

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        """Translate a request."""
        head = self.caller.read_head(body)
        neutral = self.caller.read_request(body)
        write = self.upstream.write_request
        try:
            written = write(neutral, model, stream=stream, output_cap=output_cap)
        except InvalidRequestError as error:
            raise as_said(error, neutral, self.caller.own_names) from error
        return UpstreamRequest(written, head)

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        """Translate a plain answer."""
        response = self.upstream.read_response(body)
        if not response.served_model:
            response = replace(response, served_model=self.model)
        glance = AnswerGlance(response.served_model, response.usage, response.finish_reason)
        return CallerAnswer(self.caller.write_response(response, created=created), glance)

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        """Begin to translate a streamed answer."""
        writer = self.caller.stream_writer(created=created, include_usage=include_usage)
        return TranslatedStream(self.upstream.stream_reader(), writer, self.model)


class TranslatedStream:
    """A streamed answer, translated as it passes. Its attributes are the reader's.

    `model` is what it is said to be of where the upstream does not say it.
    """

    def __init__(self, reader: StreamReader, writer: StreamWriter, model: str = "") -> None:
        self._reader = reader
        self._writer = writer
        self._model = model

    @property
    def started(self) -> bool:
        return self._reader.started

    @property
    def done(self) -> bool:
        return self._reader.done

    @property
    def served_model(self) -> str:
        return self._reader.served_model or (self._model if self._reader.started else "")

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
        events = self._reader.feed(data)
        if events and isinstance(first := events[0], Started) and not first.served_model:
            events[0] = replace(first, served_model=self._model)
        return self._writer.write(events)

    def close(self) -> bytes:
        """Take the upstream's end and return what the caller is still owed."""
        return self._writer.write(self._reader.close())
