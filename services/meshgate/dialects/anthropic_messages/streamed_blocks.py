"""The blocks of a streamed answer, read as they come."""

from collections.abc import Iterator

from msgspec import Raw, Struct

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.anthropic_messages import citations, signing
from meshgate.dialects.anthropic_messages.citations import WireCitation
from meshgate.dialects.call_names import CallNames
from meshgate.dialects.neutral import (
    ChatEvent,
    Citation,
    CitationDelta,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from meshgate.dialects.signatures import Signature

_NO_INPUT = (b"", b"null", b"{}")
_MOST_CITATIONS = 10_000
_MOST_OPEN = 1_000


class WireBlock(Struct):
    """A block as it stands in the JSON, or as it begins in a stream."""

    type: str
    text: str | None = None
    citations: list[WireCitation] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw()


class WireDelta(Struct):
    """More of a block."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: WireCitation | None = None


class _Block(Struct):
    """A block that has begun.

    Attributes:
        call: The number of the tool call that it is; None for another kind.
        whole_input: What its arguments are if nothing more is said of them.
        begins_at: Where in the whole text it begins.
        cited: What its text cites; what that text is shows at its end.
    """

    call: int | None = None
    whole_input: bytes = b""
    begins_at: int = 0
    cited: list[WireCitation] = []


class StreamedBlocks:
    """Reads the blocks of one stream, whatever indices they are given."""

    def __init__(self) -> None:
        self._open: dict[int, _Block] = {}
        self._last: int | None = None
        self._calls = 0
        self._names = CallNames()
        self._text_length = 0

    def start(self, index: int | None, wire: WireBlock) -> Iterator[ChatEvent]:
        """A block begins.

        Raises:
            MalformedAnswerError: It is of a type that is not known, or a call without a name.
        """
        at = len(self._open) if index is None else index
        if at in self._open:
            yield from self._ended(self._open.pop(at))
        if len(self._open) >= _MOST_OPEN:
            raise MalformedAnswerError("too many blocks of the upstream's are open at a time")
        block = self._open[at] = _Block(begins_at=self._text_length)
        self._last = at
        match wire.type:
            case "text":
                yield from self._text(wire.text)
                block.cited.extend(wire.citations or ())
            case "thinking":
                yield from _thought(wire.thinking, signing.read(wire.signature or ""))
            case "redacted_thinking":
                signature = signing.read(wire.data or "")
                yield ReasoningDelta("", signature.content, signature.origin, is_redacted=True)
            case "tool_use":
                yield self._call(block, wire)
            case _:
                raise MalformedAnswerError("the upstream's stream holds a block of an unknown type")

    def add(self, index: int | None, delta: WireDelta) -> Iterator[ChatEvent]:
        """More of a block.

        Raises:
            MalformedAnswerError: No such block has begun, or what is said of it is not known.
        """
        block = self._open.get(-1 if self._last is None else self._last if index is None else index)
        if block is None:
            raise MalformedAnswerError("the upstream's stream adds to a block that is not open")
        match delta.type:
            case "text_delta":
                yield from self._text(delta.text)
            case "thinking_delta":
                yield from _thought(delta.thinking, Signature(b""))
            case "signature_delta":
                yield from _thought("", signing.read(delta.signature or ""))
            case "citations_delta":
                _cite(block, delta.citation)
            case "input_json_delta" if block.call is not None:
                yield from _arguments(block, block.call, delta.partial_json)
            case _:
                raise MalformedAnswerError(
                    "the upstream's stream says what is not known of a block"
                )

    def stop(self, index: int | None) -> Iterator[ChatEvent]:
        """A block ends."""
        at = self._last if index is None else index
        if at is not None and (block := self._open.pop(at, None)) is not None:
            yield from self._ended(block)

    def close(self) -> Iterator[ChatEvent]:
        """All blocks end that have not."""
        for block in self._open.values():
            yield from self._ended(block)
        self._open.clear()

    def _text(self, text: str | None) -> Iterator[ChatEvent]:
        if text:
            self._text_length += len(text)
            yield TextDelta(text)

    def _call(self, block: _Block, wire: WireBlock) -> ToolCallDelta:
        call_id = self._names.id_of(wire.name, wire.id, f"toolu_{self._calls}")
        block.call, self._calls = self._calls, self._calls + 1
        given = bytes(wire.input)
        block.whole_input = b"{}" if given in _NO_INPUT else given
        return ToolCallDelta(index=block.call, id=call_id, name=wire.name or "")

    def _ended(self, block: _Block) -> Iterator[ChatEvent]:
        if block.call is not None and block.whole_input:
            yield ToolCallDelta(
                index=block.call, arguments_fragment=block.whole_input.decode(errors="replace")
            )
        for found in block.cited:
            cited: Citation = citations.read(found, block.begins_at, self._text_length)
            yield CitationDelta(cited)


def _thought(text: str | None, signature: Signature) -> Iterator[ChatEvent]:
    if text or signature.content:
        yield ReasoningDelta(text or "", signature.content, signature.origin)


def _arguments(block: _Block, call: int, fragment: str | None) -> Iterator[ChatEvent]:
    if fragment:
        block.whole_input = b""
        yield ToolCallDelta(index=call, arguments_fragment=fragment)


def _cite(block: _Block, citation: WireCitation | None) -> None:
    if citation is None:
        return
    if len(block.cited) >= _MOST_CITATIONS:
        raise MalformedAnswerError("a text of the upstream's cites too much")
    block.cited.append(citation)
