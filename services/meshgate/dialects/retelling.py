"""Plain answers from streamed ones, and the other way round, in the neutral form."""

from collections.abc import Iterator

from meshgate.dialects.answer_parts import AnswerParts, moved
from meshgate.dialects.answers import AnswerError, MalformedAnswerError
from meshgate.dialects.chat_dialect import StreamReader
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    CitationDelta,
    Finished,
    Message,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)


def events_of(response: ChatResponse) -> Iterator[ChatEvent]:
    """The events of a stream that says what a plain answer does, each part of it in one piece.

    Raises:
        MalformedAnswerError: It holds what no stream can say.
    """
    yield Started(id=response.id, served_model=response.served_model)
    calls = told = 0
    for part in response.message.parts:
        match part:
            case Text(text, citations):
                yield TextDelta(text)
                yield from (CitationDelta(moved(citation, told)) for citation in citations)
                told += len(text)
            case Reasoning():
                yield ReasoningDelta(
                    part.text, part.signature, part.origin, part.is_redacted, part.id
                )
            case Refusal(text):
                yield RefusalDelta(text)
            case ToolCall():
                yield _call_event(calls, part)
                calls += 1
            case _:
                raise MalformedAnswerError("an answer holds what cannot be streamed")
    yield Finished(
        reason=response.finish_reason,
        usage=response.usage,
        stop_sequence=response.stop_sequence,
    )


class Collector:
    """Puts a streamed answer together while it passes.

    Args:
        reader: Reads it.
        limit_bytes: The most text that is kept; an answer with more is given up.
    """

    def __init__(self, reader: StreamReader, limit_bytes: int) -> None:
        self._reader = reader
        self._bytes_left = limit_bytes
        self._is_given_up = False
        self._id = self._stop_sequence = ""
        self._parts = AnswerParts()

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk; never raises for what it holds."""
        if self._is_given_up:
            return
        try:
            for event in self._reader.feed(chunk):
                self._take(event)
        except AnswerError:
            self._give_up()
        if self._bytes_left < 0 or self._reader.error is not None:
            self._give_up()

    def response(self, usage: Usage | None) -> ChatResponse | None:
        """The whole answer; None where it is not whole, or too large, or could not be read."""
        self._close()
        if self._is_given_up or not self._reader.done:
            return None
        return ChatResponse(
            id=self._id,
            served_model=self._reader.served_model,
            message=Message(role=Role.ASSISTANT, parts=tuple(self._parts.whole())),
            finish_reason=self._reader.finish_reason,
            usage=usage,
            stop_sequence=self._stop_sequence,
        )

    def _close(self) -> None:
        """Take the end of the stream, which is all that ends an answer in some dialects."""
        try:
            for event in self._reader.close():
                self._take(event)
        except AnswerError:
            self._give_up()

    def _take(self, event: ChatEvent) -> None:
        match event:
            case Started():
                self._id = event.id
            case Finished():
                self._stop_sequence = event.stop_sequence
            case ToolCallDelta() if not 0 <= event.index <= self._parts.call_count:
                raise MalformedAnswerError("a tool call is misnumbered")
        self._bytes_left -= self._parts.take(event)

    def _give_up(self) -> None:
        self._is_given_up = True
        self._parts.clear()


def _call_event(index: int, call: ToolCall) -> ToolCallDelta:
    if not (call.id and call.name):
        raise MalformedAnswerError("an answer holds a tool call without a name")
    return ToolCallDelta(
        index=index,
        id=call.id,
        name=call.name,
        arguments_fragment=call.arguments_json,
        is_custom=call.is_custom,
    )
