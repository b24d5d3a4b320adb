"""Writes answers from the neutral form: whole ones, and streams as they come.

- A refusal becomes text, and the stop reason `refusal`.
- Of a tool call whose arguments are no JSON object one is made: see `plain_calls`. A stream passes on what
  it gets, as Anthropic's own may break off.
- A thought that is not signed gets an empty signature, see `signing`.
- Where a text cites something, what it says after that is a block of its own, so that every citation
  stands at its statement.
- In a stream the counts of the question stand in `message_delta`, as they are known only then; clients
  take them from there. Where the upstream told no usage at all they are 0.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Raw

from meshgate.dialects.anthropic_messages import (
    citations,
    events,
    signing,
    stop_reason,
    usage,
)
from meshgate.dialects.anthropic_messages.call_order import CallOrder
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Citation,
    CitationDelta,
    Finished,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.plain_calls import PlainCalls, arguments_of

Block = dict[str, object]

_NO_USAGE = Usage()


def write(response: ChatResponse, *, created: int) -> bytes:
    """Write a whole answer, which says nothing of when it was `created`.

    Raises:
        UnsupportedError: The answer holds what this dialect cannot express.
    """
    del created
    parts = response.message.parts
    reason = stop_reason.write(
        response.finish_reason,
        response.stop_sequence,
        calls=any(isinstance(part, ToolCall) for part in parts),
        refuses=any(isinstance(part, Refusal) for part in parts),
    )
    message = {
        "id": response.id,
        "type": "message",
        "role": "assistant",
        "model": response.served_model,
        "content": [block for at, part in enumerate(parts) for block in _blocks(part, at)],
        "stop_reason": reason,
        "stop_sequence": response.stop_sequence or None,
        "usage": usage.write(response.usage or _NO_USAGE),
    }
    return msgspec.json.encode(message)


class StreamWriter:
    """Writes one streamed answer.

    Args:
        created: Seconds since 1970, of which nothing is said here.
        include_usage: Whether the usage is to be told; here it always is.
    """

    def __init__(self, *, created: int, include_usage: bool) -> None:
        del created, include_usage
        self._plain = PlainCalls()
        self._order = CallOrder()
        self._count = 0
        self._open: tuple[str, int | None] | None = None
        self._is_cited = False
        self._is_signed = True
        self._calls = False
        self._refuses = False

    def write(self, events: Iterable[ChatEvent]) -> bytes:
        """Write the next events.

        Raises:
            MalformedAnswerError: Tool calls come in a tangle.
        """
        return b"".join(
            piece
            for event in events
            for plain in self._plain.take(event)
            for ordered in self._order.take(plain)
            for piece in self._event(ordered)
        )

    def _event(self, event: ChatEvent) -> Iterator[bytes]:
        match event:
            case Started():
                yield events.message_start(event.id, event.served_model, usage.write(_NO_USAGE))
            case TextDelta(text):
                yield from self._text(text)
            case RefusalDelta(text):
                self._refuses = True
                yield from self._text(text)
            case CitationDelta(citation):
                yield from self._cite(citation)
            case ReasoningDelta():
                yield from self._thought(event)
            case ToolCallDelta():
                yield from self._call(event)
            case Finished():
                yield from self._end(event)

    def _text(self, text: str) -> Iterator[bytes]:
        if not text:
            return
        if self._is_cited:
            yield from self._stop()
        yield from self._block("text", {"type": "text", "text": ""})
        yield self._delta({"type": "text_delta", "text": text})

    def _cite(self, citation: Citation) -> Iterator[bytes]:
        yield from self._block("text", {"type": "text", "text": "", "citations": []})
        self._is_cited = True
        yield self._delta({"type": "citations_delta", "citation": citations.write(citation)})

    def _thought(self, event: ReasoningDelta) -> Iterator[bytes]:
        if event.is_redacted:
            block: Block = {"type": "redacted_thinking", "data": signing.write(event)}
            yield from self._stop()
            yield from self._block("redacted_thinking", block)
            yield from self._stop()
            return
        if not (event.text or event.signature):
            return
        yield from self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        self._is_signed = False
        if event.text:
            yield self._delta({"type": "thinking_delta", "thinking": event.text})
        if event.signature:
            yield self._sign(signing.write(event))
            yield from self._stop()

    def _call(self, event: ToolCallDelta) -> Iterator[bytes]:
        block: Block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
        self._calls = True
        yield from self._block("tool_use", block, event.index)
        if event.arguments_fragment:
            yield self._delta(
                {"type": "input_json_delta", "partial_json": event.arguments_fragment}
            )

    def _end(self, event: Finished) -> Iterator[bytes]:
        yield from self._stop()
        reason = stop_reason.write(
            event.reason, event.stop_sequence, calls=self._calls, refuses=self._refuses
        )
        counts = usage.write_counts(event.usage or _NO_USAGE)
        yield events.message_delta(reason, event.stop_sequence, counts)
        yield events.MESSAGE_STOP

    def _block(self, kind: str, block: Block, call: int | None = None) -> Iterator[bytes]:
        """Begin a block, unless it is the open one."""
        if self._open == (kind, call):
            return
        yield from self._stop()
        self._open = (kind, call)
        yield events.block_start(self._count, block)

    def _stop(self) -> Iterator[bytes]:
        """End the block that is open."""
        if self._open is None:
            return
        if not self._is_signed:
            yield self._sign(signing.UNSIGNED)
        yield events.block_stop(self._count)
        self._open, self._is_cited = None, False
        self._count += 1

    def _sign(self, signature: str) -> bytes:
        self._is_signed = True
        return self._delta({"type": "signature_delta", "signature": signature})

    def _delta(self, delta: Block) -> bytes:
        return events.block_delta(self._count, delta)


def _blocks(part: Part, at: int) -> list[Block]:
    match part:
        case Text(text, cited):
            return _texts(text, cited)
        case Refusal(text):
            return _texts(text, ())
        case Reasoning(is_redacted=True):
            return [{"type": "redacted_thinking", "data": signing.write(part)}]
        case Reasoning():
            signature = signing.write(part)
            return [{"type": "thinking", "thinking": part.text, "signature": signature}]
        case ToolCall():
            return [_tool_use(part)]
    raise unsupported(f"message.parts[{at}]")


def _texts(text: str, cited: Sequence[Citation]) -> list[Block]:
    """A text, cut where a statement begins or ends that cites something."""
    placed = [each for each in cited if each.start is not None and each.end is not None]
    if not cited or len(placed) < len(cited):
        return _text(text, cited)
    blocks: list[Block] = []
    at = 0
    for start, end in sorted({(each.start or 0, each.end or 0) for each in placed}):
        if start < at:
            return _text(text, cited)  # statements within others
        its = [each for each in placed if (each.start, each.end) == (start, end)]
        blocks += [*_text(text[at:start], ()), *_text(text[start:end], its)]
        at = end
    return [*blocks, *_text(text[at:], ())]


def _text(text: str, cited: Sequence[Citation]) -> list[Block]:
    block: Block = {"type": "text", "text": text}
    if cited:
        block["citations"] = [citations.write(each) for each in cited]
    return [block] if text or cited else []


def _tool_use(call: ToolCall) -> Block:
    given = Raw(arguments_of(call))
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": given}
