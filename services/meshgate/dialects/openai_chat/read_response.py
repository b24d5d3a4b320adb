"""Reads chat completions into the neutral form: whole answers, and streams as they come."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import MalformedAnswerError, decoded
from meshgate.dialects.call_names import CallNames
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    CitationDelta,
    Finished,
    FinishReason,
    Message,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
)
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_chat import annotations, thoughts
from meshgate.dialects.openai_chat.thoughts import ExtraContent
from meshgate.dialects.openai_chat.tool_calls import ToolCallFragments, WireFragment
from meshgate.dialects.openai_choices.error_event import find_error
from meshgate.dialects.openai_choices.finish_reason import read_finish_reason
from meshgate.dialects.upstream_stream import ReadStream


class _Function(Struct):
    name: str
    arguments: str | None = None


class _Custom(Struct):
    name: str
    input: str | None = None


class _ToolCall(Struct):
    function: _Function | None = None
    custom: _Custom | None = None
    id: str | None = None
    extra_content: ExtraContent | None = None

    def read(self, index: int, names: CallNames) -> ToolCall:
        """The call, whatever kind of tool it is for."""
        if self.custom is not None:
            name, text = self.custom.name, self.custom.input
        elif self.function is not None:
            name, text = self.function.name, self.function.arguments
        else:
            raise MalformedAnswerError("a tool call of the upstream calls no tool")
        return ToolCall(
            id=names.id_of(name, self.id, f"call_{index}"),
            name=name,
            arguments_json=text or "",
            is_custom=self.custom is not None,
        )


class _Piece(Struct):
    """A piece of a content that is told in a list, as Mistral does where a model thinks."""

    text: str | None = None
    thinking: "list[_Piece] | None" = None


class _Message(Struct):
    content: str | list[_Piece] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Raw = Raw()
    reasoning_details: Raw = Raw()
    annotations: Raw = Raw()
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(Struct):
    # Exactly one: the neutral form never asks for more.
    choices: Annotated[list[_Choice], Meta(min_length=1, max_length=1)]
    id: str | None = None
    model: str | None = None
    usage: Raw = Raw()
    service_tier: object = None
    citations: Raw = Raw()  # Perplexity's


class _Delta(Struct):
    content: str | list[_Piece] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Raw = Raw()
    reasoning_details: Raw = Raw()
    annotations: Raw = Raw()
    tool_calls: list[WireFragment] | None = None


class _StreamedChoice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    # Some leave them out where they tell the usage.
    choices: Annotated[list[_StreamedChoice], Meta(max_length=1)] | None = None
    id: str | None = None
    model: str | None = None
    usage: Raw = Raw()
    service_tier: object = None
    citations: Raw = Raw()


_COMPLETION = msgspec.json.Decoder(_Completion)
_CHUNK = msgspec.json.Decoder(_Chunk)
_NO_COMPLETION = "the upstream's answer is not a chat completion"


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is not a chat completion.
    """
    completion = decoded(_COMPLETION, body, _NO_COMPLETION)
    choice = completion.choices[0]
    return ChatResponse(
        id=completion.id or "",
        served_model=completion.model or "",
        message=Message(role=Role.ASSISTANT, parts=_parts(choice.message, completion.citations)),
        finish_reason=_reason(choice.finish_reason, has_calls=bool(choice.message.tool_calls)),
        usage=usage_object.read(completion.usage, completion.service_tier),
    )


class StreamReader(ReadStream[sse.Event]):
    """Reads one streamed answer."""

    def __init__(self) -> None:
        super().__init__(sse.EventReader())
        self._service_tier: object = None
        self._tool_calls = ToolCallFragments()
        self._finished = False
        self._citations = Raw()

    def _take(self, event: sse.Event, told: list[ChatEvent]) -> None:
        if event.data == b"[DONE]":
            # Where the answer has not ended, this is a cut that must not look complete.
            if self._finished:
                self._end(told)
            return
        self.error = find_error(event)
        if self.error is None:
            self._read_chunk(decoded(_CHUNK, event.data, _NO_COMPLETION), told)

    def _is_whole(self) -> bool:
        return self._finished

    def _end(self, told: list[ChatEvent]) -> None:
        self.done = True
        told += map(CitationDelta, annotations.read_addresses(self._citations))
        told.append(Finished(reason=self.finish_reason, usage=self.usage))

    def _read_chunk(self, chunk: _Chunk, read: list[ChatEvent]) -> None:
        if chunk.choices is None and not bytes(chunk.usage):
            raise MalformedAnswerError("an event of the upstream's stream is no chunk")
        if not self.started:
            self.started = True
            self.served_model = chunk.model or ""
            read.append(Started(id=chunk.id or "", served_model=self.served_model))
        self._service_tier = chunk.service_tier or self._service_tier
        if (usage := usage_object.read(chunk.usage, self._service_tier)) is not None:
            self.usage = usage
        if bytes(chunk.citations):
            self._citations = Raw(bytes(chunk.citations))  # all of them in every chunk
        for choice in chunk.choices or ():
            if choice.delta is not None:
                self._read_delta(choice.delta, read)
            if choice.finish_reason and not self._finished:
                self._finished = True
                has_calls = self._tool_calls.count > 0
                self.finish_reason = _reason(choice.finish_reason, has_calls=has_calls)

    def _read_delta(self, delta: _Delta, read: list[ChatEvent]) -> None:
        read += _thoughts(delta)
        thought, text = _told(delta.content)
        if thought:
            read.append(ReasoningDelta(thought))
        if text:
            read.append(TextDelta(text))
        if delta.refusal:
            read.append(RefusalDelta(delta.refusal))
        read += map(CitationDelta, annotations.read(delta.annotations))
        for fragment in delta.tool_calls or ():
            if (proof := thoughts.call_proof(fragment.extra_content)) is not None:
                read.append(ReasoningDelta("", proof.signature, proof.origin))
            if (event := self._tool_calls.read(fragment)) is not None:
                read.append(event)


def _thoughts(delta: _Delta) -> list[ChatEvent]:
    """More of what the model thinks; the same is often told in several ways."""
    details = map(thoughts.read_delta, thoughts.details_in(delta.reasoning_details))
    if found := [detail for detail in details if detail is not None]:
        return list(found)
    text = delta.reasoning_content or thoughts.text_in(delta.reasoning)
    return [ReasoningDelta(text)] if text else []


def _parts(message: _Message, addresses: Raw) -> tuple[Part, ...]:
    parts: list[Part] = list(thoughts.read(thoughts.details_in(message.reasoning_details)))
    if not parts and (beside := message.reasoning_content or thoughts.text_in(message.reasoning)):
        parts.append(Reasoning(text=beside))
    cited = annotations.read(message.annotations) or annotations.read_addresses(addresses)
    thought, text = _told(message.content)
    if thought:
        parts.append(Reasoning(text=thought))
    if text:
        parts.append(Text(text, cited))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    names = CallNames()
    for index, call in enumerate(message.tool_calls or ()):
        if (proof := thoughts.call_proof(call.extra_content)) is not None:
            parts.append(proof)
        parts.append(call.read(index, names))
    return tuple(parts)


def _told(content: str | list[_Piece] | None) -> tuple[str, str]:
    """What a content says that was thought, and what is said aloud."""
    if not isinstance(content, list):
        return "", content or ""
    thought = [inner.text or "" for piece in content for inner in piece.thinking or ()]
    return "".join(thought), "".join(piece.text or "" for piece in content)


def _reason(word: str | None, *, has_calls: bool) -> FinishReason:
    """Why an answer ended; servers say `stop` of answers that call tools, too."""
    reason = read_finish_reason(word)
    if has_calls and reason is FinishReason.STOP:
        return FinishReason.TOOL_CALLS
    return reason
