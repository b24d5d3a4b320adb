"""Counts streamed chat completions as they pass to the caller, and ends them.

A chunk is decoded, not searched for `"content":`: that takes less time, and text that looks like
JSON does not deceive it.
"""

import msgspec
from msgspec import Struct

from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.loose_json import decoded, objects, of_type
from meshgate.dialects.openai_chat.chunks import FORM
from meshgate.dialects.openai_chat.texts import message_texts
from meshgate.dialects.openai_choices.tally import ChoiceTally


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct, gc=False):
    function: _Function


class _Delta(Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(Struct, gc=False):
    delta: _Delta | None = None
    index: int = 0
    finish_reason: str | None = None


class _Usage(Struct, gc=False):
    pass


class _Chunk(Struct, gc=False):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Opening(_Chunk, gc=False):
    id: str | None = None
    model: str | None = None
    created: int | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_OPENING = msgspec.json.Decoder(_Opening)


class OutputTally(ChoiceTally):
    """Counts one stream."""

    form = FORM

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk: whole events."""
        if chunk.startswith(b"data: {") and chunk.find(b"\n") == len(chunk) - 2:
            self._take_event(chunk[6:-2])
            return
        super().take(chunk)

    def _take_event(self, data: bytes) -> None:
        try:
            chunk = (_CHUNK if self._identified else _OPENING).decode(data)
        except UNREADABLE:
            odd = _odd(data)
            if odd is None:
                self.ended = True
                return
            chunk = odd
        if isinstance(chunk, _Opening) and chunk.choices:  # Azure's first has none, and no id
            self._identify(chunk.id, chunk.model, chunk.created)
        for choice in chunk.choices:
            if choice.delta is not None:
                self._add(choice.delta, choice.index)
            self._note_choice(choice.index, choice.finish_reason)
        if chunk.usage is not None:
            self._note_usage()

    def _add(self, delta: _Delta, index: int) -> None:
        if delta.content:
            self._text.add(index, delta.content)
        if thought := delta.reasoning_content or delta.reasoning:
            self._text.add((index, "reasoning"), thought)
        if delta.refusal:
            self._text.add((index, "refusal"), delta.refusal)
        for call in delta.tool_calls or ():
            self._add_call(call.function, index)
        if delta.function_call is not None:
            self._add_call(delta.function_call, index)

    def _add_call(self, call: _Function, index: int) -> None:
        self._text.add((index, "calls"), (call.name or "") + (call.arguments or ""))


def _odd(data: bytes) -> _Opening | None:
    """Read a chunk of a shape of the upstream's own; None if it is an error, which ends a stream.

    What cannot be read at all adds nothing to any choice.
    """
    event = decoded(data)
    if not isinstance(event, dict):
        return _Opening(choices=[])
    if event.get("error"):
        return None
    return _Opening(
        choices=[_odd_choice(choice) for choice in objects(event.get("choices"))],
        usage=_Usage() if event.get("usage") else None,
        id=of_type(event.get("id"), str),
        model=of_type(event.get("model"), str),
        created=of_type(event.get("created"), int),
    )


def _odd_choice(choice: dict[str, object]) -> _Choice:
    delta = choice.get("delta")
    said = "".join(message_texts(delta)) if isinstance(delta, dict) else None
    return _Choice(
        delta=_Delta(content=said),
        index=of_type(choice.get("index"), int) or 0,
        finish_reason=of_type(choice.get("finish_reason"), str),
    )
