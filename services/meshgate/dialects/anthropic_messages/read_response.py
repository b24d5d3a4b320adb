"""Reads answers into the neutral form: whole ones, and streams as they come.

Sources: "Streaming messages" and "Messages" in Anthropic's documentation, the types of its Python
SDK 2.14; looked up on 2026-11-29. Events of an unknown type say nothing here, as the documentation
wants it; blocks of one would be lost in the answer, and so spoil it.
"""

from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import (
    MalformedAnswerError,
    decoded,
)
from meshgate.dialects.anthropic_messages import citations, signing, stop_reason
from meshgate.dialects.anthropic_messages.citations import WireCitation
from meshgate.dialects.anthropic_messages.errors import find_error
from meshgate.dialects.anthropic_messages.streamed_blocks import (
    StreamedBlocks,
    WireBlock,
    WireDelta,
)
from meshgate.dialects.anthropic_messages.usage import UsageCount
from meshgate.dialects.anthropic_messages.usage import read as read_usage
from meshgate.dialects.call_names import CallNames
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Finished,
    Message,
    Part,
    Reasoning,
    Role,
    Started,
    Text,
    ToolCall,
)
from meshgate.dialects.upstream_stream import ReadStream

T = TypeVar("T")


class _Message(Struct):
    content: list[WireBlock]
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Raw = Raw()


class _Opening(Struct):
    id: str | None = None
    model: str | None = None
    usage: Raw = Raw()


class _Delta(WireDelta):
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(Struct):
    type: str
    message: _Opening | None = None
    index: int | None = None
    content_block: WireBlock | None = None
    delta: _Delta | None = None
    usage: Raw = Raw()


_MESSAGE = msgspec.json.Decoder(_Message)
_NO_MESSAGE = "the upstream's answer is not a message"
_EVENT = msgspec.json.Decoder(_Event)


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is not a message, or holds what the neutral form cannot express.
    """
    message = decoded(_MESSAGE, body, _NO_MESSAGE)
    names = CallNames()
    return ChatResponse(
        id=message.id or "",
        served_model=message.model or "",
        message=Message(
            role=Role.ASSISTANT,
            parts=tuple(_part(block, at, names) for at, block in enumerate(message.content)),
        ),
        finish_reason=stop_reason.read(message.stop_reason),
        usage=read_usage(message.usage),
        stop_sequence=message.stop_sequence or "",
    )


class StreamReader(ReadStream[sse.Event]):
    """Reads one streamed answer."""

    def __init__(self) -> None:
        super().__init__(sse.EventReader())
        self._count = UsageCount()
        self._blocks = StreamedBlocks()
        self._is_told = False
        self._stop_sequence = ""

    def _take(self, event: sse.Event, told: list[ChatEvent]) -> None:
        self.error = find_error(event)
        if self.error is None:
            self._read(decoded(_EVENT, event.data, _NO_MESSAGE), told)

    def _read(self, event: _Event, read: list[ChatEvent]) -> None:
        match event.type:
            case "message_start" if event.message is not None and not self.started:
                self._start(event.message, read)
            case "content_block_start" if event.content_block is not None:
                self._check_started()
                read.extend(self._blocks.start(event.index, event.content_block))
            case "content_block_delta" if event.delta is not None:
                self._check_started()
                read.extend(self._blocks.add(event.index, event.delta))
            case "content_block_stop":
                read.extend(self._blocks.stop(event.index))
            case "message_delta":
                self._note_end(event)
            case "message_stop" if self._is_told:
                # Where the answer has no end, this is a cut that must not look complete.
                self._end(read)

    def _check_started(self) -> None:
        if not self.started or self._is_told:
            raise MalformedAnswerError("a block of the upstream's stands outside of its answer")

    def _start(self, message: _Opening, read: list[ChatEvent]) -> None:
        self.started = True
        self.served_model = message.model or ""
        self._count.take(message.usage, is_end=False)
        self.usage = self._count.usage
        read.append(Started(id=message.id or "", served_model=self.served_model))

    def _note_end(self, event: _Event) -> None:
        self._count.take(event.usage, is_end=True)
        self.usage = self._count.usage
        if self.started and event.delta is not None and event.delta.stop_reason:
            self._is_told = True
            self.finish_reason = stop_reason.read(event.delta.stop_reason)
            self._stop_sequence = event.delta.stop_sequence or ""

    def _is_whole(self) -> bool:
        return self._is_told

    def _end(self, told: list[ChatEvent]) -> None:
        self.done = True
        self.usage = self._count.whole
        told += self._blocks.close()
        told.append(
            Finished(reason=self.finish_reason, usage=self.usage, stop_sequence=self._stop_sequence)
        )


def _part(block: WireBlock, at: int, names: CallNames) -> Part:
    match block.type:
        case "text":
            text = block.text or ""
            return Text(text, citations.read_all(_cited(block), 0, len(text)))
        case "thinking":
            signature = signing.read(block.signature or "")
            return Reasoning(
                text=block.thinking or "", signature=signature.content, origin=signature.origin
            )
        case "redacted_thinking":
            signature = signing.read(block.data or "")
            return Reasoning(
                text="", signature=signature.content, origin=signature.origin, is_redacted=True
            )
        case "tool_use":
            call_id = names.id_of(block.name, block.id, f"toolu_{at}")
            arguments = _arguments(block.input)
            return ToolCall(id=call_id, name=block.name or "", arguments_json=arguments)
    raise MalformedAnswerError("the upstream's answer holds a block of a type that is not known")


def _arguments(raw: Raw) -> str:
    # The decoder does not look into the strings that it skips.
    try:
        return bytes(raw).decode() or "{}"
    except UnicodeDecodeError as error:
        raise MalformedAnswerError("the arguments of a tool call are not UTF-8") from error


def _cited(block: WireBlock) -> list[WireCitation]:
    return block.citations or []
