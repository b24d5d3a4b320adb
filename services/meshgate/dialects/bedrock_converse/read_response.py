"""Reads Converse answers into the neutral form: whole ones, and streams as they come.

Neither says which model answered, nor has an id: the one is filled in by whoever knows it, the other
is made up here. What a server-side tool was asked and said is left out, as no request of the
gateway's asks for one.
"""

import secrets
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import (
    UNREADABLE,
    MalformedAnswerError,
    UpstreamErrorEvent,
    decoded,
)
from meshgate.dialects.bedrock_converse import citations, usage
from meshgate.dialects.bedrock_converse.citations import WireCitation
from meshgate.dialects.bedrock_converse.event_stream import EventStreamReader, StreamMessage
from meshgate.dialects.bedrock_converse.fields import NAME
from meshgate.dialects.bedrock_converse.finish_reason import read_finish_reason
from meshgate.dialects.call_names import CallNames
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
from meshgate.dialects.upstream_stream import ReadStream

T = TypeVar("T")

_MESSAGE_LIMIT = 4096
_SERVER_TOOL = "server_tool_use"


class _ToolUse(Struct, rename="camel"):
    tool_use_id: str | None = None
    name: str = ""
    input: Raw = Raw(b"{}")
    type: str | None = None


class _ReasoningText(Struct):
    text: str
    signature: str | None = None


class _ReasoningContent(Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: bytes | None = None


class _Said(Struct):
    text: str | None = None


class _CitationsContent(Struct):
    content: list[_Said] | None = None
    citations: list[WireCitation] | None = None


class _Block(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _ReasoningContent | None = None
    citations_content: _CitationsContent | None = None
    image: Raw | None = None


class _Message(Struct):
    content: list[_Block] | None = None


class _Output(Struct):
    message: _Message


class _OwnFields(Struct):
    """What a request may have asked the model's family for."""

    stop_sequence: str | None = None


class _Router(Struct, rename="camel"):
    invoked_model_id: str | None = None


class _Trace(Struct, rename="camel"):
    prompt_router: _Router | None = None


class _Answer(Struct, rename="camel"):
    output: _Output
    stop_reason: str | None = None
    usage: Raw = Raw()
    service_tier: Raw = Raw()
    trace: _Trace | None = None
    additional_model_response_fields: Raw = Raw()


class _Start(Struct, rename="camel"):
    tool_use: _ToolUse | None = None


class _BlockStart(Struct, rename="camel"):
    content_block_index: int
    start: _Start


class _ToolUseDelta(Struct):
    input: str | None = None


class _ReasoningFragment(Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: bytes | None = None


class _Delta(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUseDelta | None = None
    reasoning_content: _ReasoningFragment | None = None
    citation: WireCitation | None = None
    image: Raw | None = None


class _BlockDelta(Struct, rename="camel"):
    content_block_index: int
    delta: _Delta


class _Stop(Struct, rename="camel"):
    stop_reason: str | None = None
    additional_model_response_fields: Raw = Raw()


class _Metadata(Struct, rename="camel"):
    usage: Raw = Raw()
    service_tier: Raw = Raw()


class _Call(NamedTuple):
    """The number of a call that has begun, and the id that the upstream gave it."""

    number: int
    said_id: str | None


class _Complaint(Struct):
    message: str | None = None


_ANSWER = msgspec.json.Decoder(_Answer)
_NO_ANSWER = "the upstream's answer is not one of Converse"
_BLOCK_START = msgspec.json.Decoder(_BlockStart)
_BLOCK_DELTA = msgspec.json.Decoder(_BlockDelta)
_STOP = msgspec.json.Decoder(_Stop)
_METADATA = msgspec.json.Decoder(_Metadata)
_OWN_FIELDS = msgspec.json.Decoder(_OwnFields)
_COMPLAINT = msgspec.json.Decoder(_Complaint)


def new_id() -> str:
    """A name for an answer that has none."""
    return f"converse-{secrets.token_hex(12)}"


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is not an answer of Converse.
    """
    answer = decoded(_ANSWER, body, _NO_ANSWER)
    router = answer.trace.prompt_router if answer.trace is not None else None
    parts: list[Part] = []
    names = CallNames()
    for at, block in enumerate(answer.output.message.content or ()):
        parts += _parts(block, at, names)
    return ChatResponse(
        id=new_id(),
        served_model=(router.invoked_model_id or "") if router is not None else "",
        message=Message(role=Role.ASSISTANT, parts=tuple(parts)),
        finish_reason=read_finish_reason(answer.stop_reason),
        usage=usage.read(answer.usage, answer.service_tier),
        stop_sequence=_stop_sequence(answer.additional_model_response_fields),
    )


class StreamReader(ReadStream[StreamMessage]):
    """Reads one streamed answer; an exception of the upstream inside the stream is its error."""

    def __init__(self, new_id: Callable[[], str] = new_id) -> None:
        super().__init__(EventStreamReader())
        self._new_id = new_id
        self._calls: dict[int, _Call | None] = {}
        self._call_count = 0
        self._names = CallNames()
        self._finished = False
        self._stop_sequence = ""
        self._readers: dict[str, Callable[[bytes], list[ChatEvent]]] = {
            "contentBlockStart": self._begin_block,
            "contentBlockDelta": self._read_delta,
            "messageStop": self._stop,
            "metadata": self._read_metadata,
        }

    def _take(self, message: StreamMessage, read: list[ChatEvent]) -> None:
        if message.headers.get(":message-type", "event") != "event":
            self.error = _error_of(message)
            return
        if not self.started:
            self.started = True
            read.append(Started(id=self._new_id(), served_model=""))
        reader = self._readers.get(message.headers.get(":event-type", ""))
        if reader is not None:
            read += reader(message.payload)

    def _begin_block(self, payload: bytes) -> list[ChatEvent]:
        begun = decoded(_BLOCK_START, payload, _NO_ANSWER)
        use = begun.start.tool_use
        known = self._calls.get(begun.content_block_index)
        if use is None or use.type == _SERVER_TOOL:
            self._calls[begun.content_block_index] = None
            return []
        if known is not None and known.said_id == use.tool_use_id:
            return []  # the same once more
        number, self._call_count = self._call_count, self._call_count + 1
        self._calls[begun.content_block_index] = _Call(number, use.tool_use_id)
        call_id = self._names.id_of(use.name, use.tool_use_id, f"call_{number}")
        return [ToolCallDelta(index=number, id=call_id, name=use.name)]

    def _read_delta(self, payload: bytes) -> list[ChatEvent]:
        block = decoded(_BLOCK_DELTA, payload, _NO_ANSWER)
        delta = block.delta
        if delta.image is not None:
            raise MalformedAnswerError("the upstream answered with a picture")
        if delta.text:
            return [TextDelta(delta.text)]
        if delta.tool_use is not None:
            return self._read_fragment(block.content_block_index, delta.tool_use.input or "")
        if delta.reasoning_content is not None:
            return _thoughts(delta.reasoning_content)
        if delta.citation is not None:
            return [CitationDelta(citations.read(delta.citation))]
        return []

    def _read_fragment(self, block: int, fragment: str) -> list[ChatEvent]:
        if block not in self._calls:
            raise MalformedAnswerError("a tool call of the upstream begins without a name")
        call = self._calls[block]
        if call is None or not fragment:
            return []
        return [ToolCallDelta(index=call.number, arguments_fragment=fragment)]

    def _stop(self, payload: bytes) -> list[ChatEvent]:
        stop = decoded(_STOP, payload, _NO_ANSWER)
        self._finished = True
        self._stop_sequence = _stop_sequence(stop.additional_model_response_fields)
        self.finish_reason = read_finish_reason(stop.stop_reason)
        return []

    def _read_metadata(self, payload: bytes) -> list[ChatEvent]:
        metadata = decoded(_METADATA, payload, _NO_ANSWER)
        self.usage = usage.read(metadata.usage, metadata.service_tier)
        return [self._finish()] if self._finished else []

    def _is_whole(self) -> bool:
        return self._finished

    def _end(self, told: list[ChatEvent]) -> None:
        told.append(self._finish())

    def _finish(self) -> Finished:
        self.done = True
        return Finished(
            reason=self.finish_reason, usage=self.usage, stop_sequence=self._stop_sequence
        )


def _stop_sequence(raw: Raw) -> str:
    """The one that ended the answer, where the model's family told it."""
    try:
        return _OWN_FIELDS.decode(raw).stop_sequence or ""
    except UNREADABLE:
        return ""


def _parts(block: _Block, at: int, names: CallNames) -> list[Part]:
    if block.image is not None:
        raise MalformedAnswerError("the upstream answered with a picture")
    if block.reasoning_content is not None:
        return _reasoning(block.reasoning_content)
    if (use := block.tool_use) is not None:
        if use.type == _SERVER_TOOL:
            return []
        call_id = names.id_of(use.name, use.tool_use_id, f"call_{at}")
        return [ToolCall(id=call_id, name=use.name, arguments_json=_arguments(use.input))]
    if (cited := block.citations_content) is not None:
        text = "".join(said.text or "" for said in cited.content or ())
        found = [citations.read(it, start=0, end=len(text)) for it in cited.citations or ()]
        return [Text(text, tuple(found))]
    return [Text(block.text)] if block.text else []


def _arguments(raw: Raw) -> str:
    # The decoder does not look into the strings that it skips.
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise MalformedAnswerError("the arguments of a tool call are not UTF-8") from error


def _reasoning(content: _ReasoningContent) -> list[Part]:
    if content.redacted_content:
        hidden = content.redacted_content
        return [Reasoning(text="", signature=hidden, origin=NAME, is_redacted=True)]
    thought = content.reasoning_text
    if thought is None:
        return []
    if not thought.signature:
        return [Reasoning(text=thought.text)] if thought.text else []
    return [Reasoning(text=thought.text, signature=thought.signature.encode(), origin=NAME)]


def _thoughts(fragment: _ReasoningFragment) -> list[ChatEvent]:
    if fragment.redacted_content:
        hidden = fragment.redacted_content
        return [ReasoningDelta("", signature=hidden, origin=NAME, is_redacted=True)]
    if fragment.signature:
        signature = fragment.signature.encode()
        return [ReasoningDelta(fragment.text or "", signature=signature, origin=NAME)]
    return [ReasoningDelta(fragment.text)] if fragment.text else []


def _error_of(message: StreamMessage) -> UpstreamErrorEvent:
    """What an exception inside a stream says; a message of the type `error` has it in its headers."""
    headers = message.headers
    try:
        told = _COMPLAINT.decode(message.payload).message
    except UNREADABLE:
        told = None
    kind = headers.get(":exception-type") or headers.get(":error-code", "")
    told = told or headers.get(":error-message", "")
    return UpstreamErrorEvent(message=told[:_MESSAGE_LIMIT], type=kind[:256])
