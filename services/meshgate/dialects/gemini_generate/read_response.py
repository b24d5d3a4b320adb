"""Reads generateContent answers into the neutral form: whole ones, and streams as they come.

Streams have no end of their own: they are whole when a finish reason has come. A signed part becomes
two: a thought without text that bears the signature, and what it says.
"""

from collections.abc import Iterator

from msgspec import Raw

from meshgate.dialects import sse
from meshgate.dialects.answer_parts import AnswerParts
from meshgate.dialects.answers import (
    MalformedAnswerError,
)
from meshgate.dialects.call_names import CallNames
from meshgate.dialects.gemini_generate import citations, signed_thoughts
from meshgate.dialects.gemini_generate import usage as usage_metadata
from meshgate.dialects.gemini_generate.answers import (
    Answer,
    Candidate,
    FunctionCall,
    Part,
    answer_of,
    error_of,
)
from meshgate.dialects.gemini_generate.citations import CitedText
from meshgate.dialects.gemini_generate.finish_reason import FAILED, read_finish_reason
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    CitationDelta,
    Finished,
    FinishReason,
    Message,
    ReasoningDelta,
    Role,
    Started,
    TextDelta,
    ToolCallDelta,
)
from meshgate.dialects.upstream_stream import ReadStream

_INEXPRESSIBLE = (
    "inline_data",
    "file_data",
    "executable_code",
    "code_execution_result",
    "tool_call",
    "tool_response",
)
_NOTHING = (b"", b"null")


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is none, or holds what no translation can say.
    """
    answer = answer_of(body)
    speaker = _Speaker(answer.response_id or "")
    parts = AnswerParts()
    for event in speaker.read(answer):
        parts.take(event)
    if not speaker.has_ended:
        raise MalformedAnswerError("the upstream's answer has no end")
    return ChatResponse(
        id=answer.response_id or "",
        served_model=answer.model_version or "",
        message=Message(role=Role.ASSISTANT, parts=tuple(parts.whole())),
        finish_reason=speaker.finish_reason,
        usage=usage_metadata.read(answer.usage_metadata),
    )


class StreamReader(ReadStream[sse.Event]):
    """Reads one streamed answer, which ends with its body if it has said why."""

    def __init__(self) -> None:
        super().__init__(sse.EventReader())
        self._speaker = _Speaker("")

    def _take(self, event: sse.Event, told: list[ChatEvent]) -> None:
        self.error = error_of(event)
        if self.error is None:
            told += self._read_chunk(answer_of(event.data))
            self.finish_reason = self._speaker.finish_reason

    def _is_whole(self) -> bool:
        return self._speaker.has_ended

    def _end(self, told: list[ChatEvent]) -> None:
        self.done = True
        told.append(Finished(reason=self.finish_reason, usage=self.usage))

    def _read_chunk(self, chunk: Answer) -> Iterator[ChatEvent]:
        if not self.started:
            self.started = True
            self.served_model = chunk.model_version or ""
            self._speaker = _Speaker(chunk.response_id or "")
            yield Started(id=chunk.response_id or "", served_model=self.served_model)
        if (usage := usage_metadata.read(chunk.usage_metadata)) is not None:
            self.usage = usage
        yield from self._speaker.read(chunk)


class _Speaker:
    """Tells what the one candidate of an answer says.

    Args:
        answer_id: Part of the ids of calls that have none, so that no two of a conversation are alike.
    """

    def __init__(self, answer_id: str) -> None:
        self.has_ended = False
        self.finish_reason = FinishReason.UNSPECIFIED
        self._answer_id = answer_id
        self._calls = 0
        self._names = CallNames()
        self._says_anything = False
        self._text = CitedText()

    def read(self, chunk: Answer) -> Iterator[ChatEvent]:
        if chunk.blocked:
            self.has_ended = True
            self.finish_reason = FinishReason.CONTENT_FILTER
        for candidate in chunk.candidates or ():
            if candidate.index:
                raise MalformedAnswerError("the upstream gives more answers than it was asked for")
            yield from self._read_candidate(candidate)

    def _read_candidate(self, candidate: Candidate) -> Iterator[ChatEvent]:
        for part in (candidate.content.parts if candidate.content else None) or ():
            yield from self._read_part(part)
        yield from map(CitationDelta, citations.read(candidate, self._text))
        if candidate.finish_reason:
            if candidate.finish_reason in FAILED and not self._says_anything:
                raise MalformedAnswerError("the model wrote what the upstream cannot read")
            self.has_ended = True
            self.finish_reason = read_finish_reason(
                candidate.finish_reason, has_calls=self._calls > 0
            )

    def _read_part(self, part: Part) -> Iterator[ChatEvent]:
        for name in _INEXPRESSIBLE:
            if bytes(getattr(part, name)) not in _NOTHING:
                raise MalformedAnswerError("the upstream's answer holds what cannot be translated")
        if part.thought and part.text:
            yield ReasoningDelta(part.text)
        if part.thought_signature:
            yield from _signature(part.thought_signature)
        if part.text and not part.thought:
            self._says_anything = True
            self._text.add(part.text)
            yield TextDelta(part.text)
        if part.function_call is not None:
            self._says_anything = True
            yield self._call(part.function_call)

    def _call(self, call: FunctionCall) -> ToolCallDelta:
        index, self._calls = self._calls, self._calls + 1
        made = f"call_{self._answer_id}_{index}" if self._answer_id else f"call_{index}"
        return ToolCallDelta(
            index=index,
            id=self._names.id_of(call.name, call.id, made),
            name=call.name,
            arguments_fragment=_arguments(call.args),
        )


def _signature(text: str) -> Iterator[ReasoningDelta]:
    thought = signed_thoughts.read(text)
    if thought is not None:
        yield ReasoningDelta("", thought.signature, thought.origin, thought.is_redacted, thought.id)


def _arguments(args: Raw) -> str:
    data = bytes(args)
    return "{}" if data in _NOTHING else data.decode(errors="replace")
