"""Reads chat completions into the neutral form: whole answers, and streams as they come."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import CutStreamError, MalformedAnswerError, UpstreamErrorEvent
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
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
    Usage,
)
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_chat.tool_calls import ToolCallFragments, WireFragment
from meshgate.dialects.openai_choices.error_event import find_error
from meshgate.dialects.openai_choices.finish_reason import read_finish_reason

T = TypeVar("T")


class _Function(Struct):
    name: str
    arguments: str | None = None


class _ToolCall(Struct):
    function: _Function
    id: str | None = None


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Raw = Raw()
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


class _Delta(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Raw = Raw()
    tool_calls: list[WireFragment] | None = None


class _StreamedChoice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: Annotated[list[_StreamedChoice], Meta(max_length=1)]
    id: str | None = None
    model: str | None = None
    usage: Raw = Raw()


_COMPLETION = msgspec.json.Decoder(_Completion)
_CHUNK = msgspec.json.Decoder(_Chunk)
_STRING = msgspec.json.Decoder(str)


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is not a chat completion.
    """
    completion = _decoded(_COMPLETION, body)
    choice = completion.choices[0]
    return ChatResponse(
        id=completion.id or "",
        served_model=completion.model or "",
        message=Message(role=Role.ASSISTANT, parts=_parts(choice.message)),
        finish_reason=read_finish_reason(choice.finish_reason),
        usage=usage_object.read(completion.usage),
    )


class StreamReader:
    """Reads one streamed answer.

    An error event of the upstream is not raised, so that what came before it is not lost: it
    stands in `error`, and nothing is read after it.
    """

    def __init__(self) -> None:
        self.started = False
        self.done = False
        self.served_model = ""
        self.usage: Usage | None = None
        self.finish_reason = FinishReason.UNSPECIFIED
        self.error: UpstreamErrorEvent | None = None
        self._events = sse.EventReader()
        self._tool_calls = ToolCallFragments()
        self._finished = False

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Take what one read brought and return what it says.

        Raises:
            MalformedAnswerError: The upstream said what cannot be understood.
        """
        return self._read(self._events.feed(data))

    def close(self) -> list[ChatEvent]:
        """Take the upstream's end and return what was still owed.

        Raises:
            CutStreamError: The answer is not whole.
        """
        if self.done or self.error is not None:
            return []
        try:
            events = self._read(self._events.close())
        except MalformedAnswerError as error:
            raise CutStreamError("the stream ended within an event") from error
        if self.done or self.error is not None:
            return events
        if not self._finished:
            raise CutStreamError("the stream ended before the answer did")
        return [*events, self._finish()]

    def _read(self, events: list[sse.Event]) -> list[ChatEvent]:
        read: list[ChatEvent] = []
        for event in events:
            if self.done or self.error is not None:
                break
            if event.data == b"[DONE]":
                # Where the answer has not ended, this is a cut that must not look complete.
                if self._finished:
                    read.append(self._finish())
                continue
            self.error = find_error(event)
            if self.error is None:
                self._read_chunk(_decoded(_CHUNK, event.data), read)
        return read

    def _finish(self) -> Finished:
        self.done = True
        return Finished(reason=self.finish_reason, usage=self.usage)

    def _read_chunk(self, chunk: _Chunk, read: list[ChatEvent]) -> None:
        if not self.started:
            self.started = True
            self.served_model = chunk.model or ""
            read.append(Started(id=chunk.id or "", served_model=self.served_model))
        if (usage := usage_object.read(chunk.usage)) is not None:
            self.usage = usage
        for choice in chunk.choices:
            if choice.delta is not None:
                self._read_delta(choice.delta, read)
            if choice.finish_reason and not self._finished:
                self._finished = True
                self.finish_reason = read_finish_reason(choice.finish_reason)

    def _read_delta(self, delta: _Delta, read: list[ChatEvent]) -> None:
        if thought := delta.reasoning_content or _string(delta.reasoning):
            read.append(ReasoningDelta(thought))
        if delta.content:
            read.append(TextDelta(delta.content))
        if delta.refusal:
            read.append(RefusalDelta(delta.refusal))
        fragments = (self._tool_calls.read(fragment) for fragment in delta.tool_calls or ())
        read.extend(fragment for fragment in fragments if fragment is not None)


def _parts(message: _Message) -> tuple[Part, ...]:
    parts: list[Part] = []
    if thought := message.reasoning_content or _string(message.reasoning):
        parts.append(Reasoning(text=thought))
    if message.content:
        parts.append(Text(message.content))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    for index, call in enumerate(message.tool_calls or ()):
        parts.append(
            ToolCall(
                id=call.id or f"call_{index}",
                name=call.function.name,
                arguments_json=call.function.arguments or "",
            )
        )
    return tuple(parts)


def _string(raw: Raw) -> str:
    # `reasoning` is a text with newer vLLM and OpenRouter, and something else elsewhere.
    return _STRING.decode(raw) if bytes(raw).startswith(b'"') else ""


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedAnswerError("the upstream's answer is not a chat completion") from error
