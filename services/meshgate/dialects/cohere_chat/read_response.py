"""Reads Cohere's chat answers into the neutral form: whole ones, and streams as they come.

Which model answered they do not say; whoever knows it fills it in. The plan for the tools that are
called is a thought.
"""

from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import (
    MalformedAnswerError,
    UpstreamErrorEvent,
    decoded,
)
from meshgate.dialects.call_names import CallNames
from meshgate.dialects.cohere_chat import citations, usage
from meshgate.dialects.cohere_chat.citations import WireCitation
from meshgate.dialects.cohere_chat.finish_reason import FAILED, read_finish_reason
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    CitationDelta,
    Finished,
    Message,
    Part,
    Reasoning,
    ReasoningDelta,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from meshgate.dialects.openai_choices.error_event import find_error
from meshgate.dialects.upstream_stream import ReadStream

T = TypeVar("T")

_MESSAGE_LIMIT = 4096


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    id: str | None = None
    function: _Function | None = None


class _Content(Struct):
    text: str | None = None
    thinking: str | None = None


class _Message(Struct):
    content: list[_Content] | None = None
    tool_plan: str | None = None
    tool_calls: list[_Call] | None = None
    citations: list[WireCitation] | None = None


class _Answer(Struct):
    message: _Message
    finish_reason: str
    id: str | None = None
    usage: Raw = Raw()


class _Told(Struct):
    """What one event adds to the message; lists where the message begins."""

    content: _Content | list[_Content] | None = None
    tool_plan: str | None = None
    tool_calls: _Call | list[_Call] | None = None
    citations: WireCitation | list[WireCitation] | None = None


class _Delta(Struct):
    message: _Told | None = None
    finish_reason: str | None = None
    usage: Raw = Raw()
    error: str | None = None


class _Event(Struct):
    type: str
    id: str | None = None
    index: int | None = None
    delta: _Delta | None = None


_ANSWER = msgspec.json.Decoder(_Answer)
_NO_ANSWER = "the upstream's answer is not one of Cohere's chat"
_EVENT = msgspec.json.Decoder(_Event)


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is not an answer of Cohere's, or one that came to nothing.
    """
    answer = decoded(_ANSWER, body, _NO_ANSWER)
    if answer.finish_reason in FAILED:
        raise MalformedAnswerError("the upstream's answer came to nothing")
    return ChatResponse(
        id=answer.id or "",
        served_model="",
        message=Message(role=Role.ASSISTANT, parts=tuple(_parts(answer.message))),
        finish_reason=read_finish_reason(answer.finish_reason),
        usage=usage.read(answer.usage),
    )


class StreamReader(ReadStream[sse.Event]):
    """Reads one streamed answer.

    An answer that comes to nothing is not raised, so that what came before it is not lost: it stands in
    `error`, and nothing is read after it.
    """

    def __init__(self) -> None:
        super().__init__(sse.EventReader())
        self._numbers: dict[int, int] = {}
        self._names = CallNames()
        self._text_length = 0
        # Where each content begins in all of the text.
        self._offsets: dict[int, int] = {}

    def _take(self, event: sse.Event, told: list[ChatEvent]) -> None:
        if event.data == b"[DONE]":
            return
        self.error = find_error(event)
        if self.error is None:
            self._read_event(decoded(_EVENT, event.data, _NO_ANSWER), told)

    def _read_event(self, event: _Event, read: list[ChatEvent]) -> None:
        if not self.started:
            self.started = True
            read.append(Started(id=event.id or "", served_model=""))
        delta = event.delta or _Delta()
        if event.type == "message-end":
            self._finish(delta, read)
        elif delta.message is not None and event.type != "message-start":
            self._read_told(delta.message, event.index or 0, read)

    def _finish(self, delta: _Delta, read: list[ChatEvent]) -> None:
        self.usage = usage.read(delta.usage)
        if delta.error or delta.finish_reason in FAILED:
            kind = FAILED.get(delta.finish_reason or "", "server_error")
            message = (delta.error or "the upstream's answer came to nothing")[:_MESSAGE_LIMIT]
            self.error = UpstreamErrorEvent(message=message, type=kind)
            return
        self.finish_reason = read_finish_reason(delta.finish_reason)
        self.done = True
        read.append(Finished(reason=self.finish_reason, usage=self.usage))

    def _read_told(self, told: _Told, index: int, read: list[ChatEvent]) -> None:
        if told.tool_plan:
            read.append(ReasoningDelta(told.tool_plan))
        if isinstance(content := told.content, _Content):
            self._read_content(content, index, read)
        if isinstance(call := told.tool_calls, _Call):
            self._read_call(call, index, read)
        if isinstance(cited := told.citations, WireCitation) and cited.is_of_text:
            offset = self._offsets.get(cited.content_index or 0, 0)
            read += map(CitationDelta, citations.read(cited, offset))

    def _read_content(self, content: _Content, index: int, read: list[ChatEvent]) -> None:
        self._offsets.setdefault(index, self._text_length)
        if content.thinking:
            read.append(ReasoningDelta(content.thinking))
        if content.text:
            self._text_length += len(content.text)
            read.append(TextDelta(content.text))

    def _read_call(self, call: _Call, index: int, read: list[ChatEvent]) -> None:
        function = call.function or _Function()
        arguments = function.arguments or ""
        if index in self._numbers:
            if arguments:
                number = self._numbers[index]
                read.append(ToolCallDelta(index=number, arguments_fragment=arguments))
            return
        number = self._numbers[index] = len(self._numbers)
        call_id = self._names.id_of(function.name, call.id, f"call_{number}")
        name = function.name or ""
        read.append(
            ToolCallDelta(index=number, id=call_id, name=name, arguments_fragment=arguments)
        )


def _parts(message: _Message) -> list[Part]:
    parts: list[Part] = []
    if message.tool_plan:
        parts.append(Reasoning(text=message.tool_plan))
    for at, content in enumerate(message.content or ()):
        if content.thinking:
            parts.append(Reasoning(text=content.thinking))
        if content.text:
            cited = [
                citation
                for wire in message.citations or ()
                if wire.is_of_text and (wire.content_index or 0) == at
                for citation in citations.read(wire)
            ]
            parts.append(Text(content.text, tuple(cited)))
    names = CallNames()
    for number, call in enumerate(message.tool_calls or ()):
        function = call.function or _Function()
        parts.append(
            ToolCall(
                id=names.id_of(function.name, call.id, f"call_{number}"),
                name=function.name or "",
                arguments_json=function.arguments or "",
            )
        )
    return parts
