"""Writes chat completions from the neutral form: whole answers, and streams as they come.

A thought is told twice, as it is elsewhere: in `reasoning_content`, which most clients know, and in
`reasoning_details`, which carry what proves it. In a stream its proof comes when it has ended, too
late to say then whether the second way was needed.
"""

from collections.abc import Iterable

from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Citation,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_chat import annotations, thoughts
from meshgate.dialects.openai_chat.chunks import FORM, write_delta
from meshgate.dialects.openai_chat.messages import thoughts_of, write_calls
from meshgate.dialects.openai_choices import write_response
from meshgate.dialects.openai_choices.chunks import Identity
from meshgate.dialects.openai_choices.write_response import ChoiceWriter


def write(response: ChatResponse, *, created: int) -> bytes:
    """Write a whole answer; `created` is in seconds since 1970.

    Raises:
        UnsupportedError: The answer holds what this dialect cannot express.
    """
    said: dict[str, object] = {"message": _message(response.message.parts)}
    return write_response.write(response, said, object_name="chat.completion", created=created)


class StreamWriter(ChoiceWriter):
    """Writes one streamed answer.

    What proves a tool call comes before it, and is held back until it is known which call that is.
    """

    form = FORM

    def __init__(self, *, created: int, include_usage: bool) -> None:
        super().__init__(created=created, include_usage=include_usage)
        self._thought = 0
        self._is_thinking = False
        self._proof: ReasoningDelta | None = None
        self._custom_calls: set[int] = set()

    def write(self, events: Iterable[ChatEvent]) -> bytes:
        written = []
        for event in events:
            if self._proof is not None and not isinstance(event, ToolCallDelta):
                written.append(self._write_held())
            written.append(super().write((event,)))
        return b"".join(written)

    def write_citation(self, identity: Identity, citation: Citation) -> bytes:
        cited = annotations.write([citation])
        return write_delta(identity, {"annotations": cited}) if cited else b""

    def write_delta(
        self,
        identity: Identity,
        event: TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta,
    ) -> bytes:
        match event:
            case TextDelta():
                return write_delta(identity, {"content": event.text})
            case ReasoningDelta():
                return self._think(identity, event)
            case RefusalDelta():
                return write_delta(identity, {"refusal": event.text})
            case ToolCallDelta():
                return write_delta(identity, {"tool_calls": [self._fragment(event)]})

    def _think(self, identity: Identity, event: ReasoningDelta) -> bytes:
        if not self._is_thinking and thoughts.proves_call(event):
            self._proof = event
            return b""
        delta: dict[str, object] = {}
        if event.text:
            delta["reasoning_content"] = event.text
        delta["reasoning_details"] = [thoughts.write_piece(event, self._thought)]
        self._is_thinking = not (event.signature or event.id)
        self._thought += not self._is_thinking
        return write_delta(identity, delta)

    def _write_held(self) -> bytes:
        """What was no proof of a call: a thought that is not shown."""
        proof, self._proof = self._proof, None
        if proof is None:
            return b""
        detail = thoughts.write_piece(proof, self._thought)
        self._thought += 1
        return write_delta(self._identity, {"reasoning_details": [detail]})

    def _fragment(self, delta: ToolCallDelta) -> dict[str, object]:
        if delta.is_custom:
            self._custom_calls.add(delta.index)
        is_custom = delta.index in self._custom_calls
        kind, takes = ("custom", "input") if is_custom else ("function", "arguments")
        called = {takes: delta.arguments_fragment}
        if not delta.id:
            return {"index": delta.index, kind: called}
        proof, self._proof = self._proof, None
        return {
            "index": delta.index,
            "id": delta.id,
            "type": kind,
            kind: {"name": delta.name, **called},
            **(thoughts.write_call_proof(proof) if proof else {}),
        }


def _message(parts: tuple[Part, ...]) -> dict[str, object]:
    for number, part in enumerate(parts):
        if not isinstance(part, Text | Refusal | Reasoning | ToolCall):
            raise unsupported(f"message.parts[{number}]")
    texts = [part for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    message: dict[str, object] = {"role": "assistant"}
    # Unlike in a request, an answer's content is one text, and a refusal has its own place.
    message["content"] = "".join(part.text for part in texts) if texts else None
    message["refusal"] = "".join(refusals) if refusals else None
    if cited := _citations(texts):
        message["annotations"] = cited
    message |= _thoughts(thoughts_of(parts))
    if calls := write_calls(parts):
        message["tool_calls"] = calls
    return message


def _citations(texts: list[Text]) -> list[dict[str, object]]:
    written: list[dict[str, object]] = []
    length = 0
    for text in texts:
        written += annotations.write(text.citations, shift=length)
        length += len(text.text)
    return written


def _thoughts(found: list[Reasoning]) -> dict[str, object]:
    told: dict[str, object] = {}
    if text := "\n\n".join(thought.text for thought in found if thought.text):
        told["reasoning_content"] = text
    if any(thought.signature or thought.id for thought in found):
        told["reasoning_details"] = thoughts.write(found)
    return told
