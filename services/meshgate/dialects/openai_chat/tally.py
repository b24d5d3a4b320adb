"""Counts streamed chat completions as they pass to the caller, and ends them.

A chunk is decoded, not searched for `"content":`: that takes less time, and text that looks like
JSON does not deceive it.
"""

from typing import TypeVar

import msgspec
from msgspec import Struct

from meshgate.dialects import sse
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_chat import chunks, texts
from meshgate.dialects.openai_chat.chunks import Identity
from meshgate.dialects.openai_chat.finish_reason import write_finish_reason
from meshgate.dialects.tallied_text import DEFAULT_LIMIT_BYTES, TalliedText

T = TypeVar("T")


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
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class OutputTally:
    """Counts one stream.

    Args:
        answer_id: The stream's id, as far as its chunks do not say.
        served_model: Likewise.
        created: Likewise, in seconds since 1970.
        limit_bytes: How much text is kept.
    """

    def __init__(
        self,
        *,
        answer_id: str,
        served_model: str,
        created: int,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        self.ended = False
        self._identity = Identity(answer_id, served_model, created)
        self._identified = False
        self._open_choices: set[int] = set()
        self._finished_choices: set[int] = set()
        self._usage_told = False
        self._events = sse.EventReader()
        self._text = TalliedText(limit_bytes)

    @property
    def text_bytes(self) -> int:
        return self._text.size_bytes

    @property
    def kept_bytes(self) -> int:
        return self._text.kept_bytes

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk: whole events."""
        if chunk.startswith(b"data: {") and chunk.find(b"\n") == len(chunk) - 2:
            self._take_event(chunk[6:-2])
            return
        for event in self._events.feed(chunk):
            if event.data == b"[DONE]":
                self.ended = True
            else:
                self._take_event(event.data)

    def texts(self) -> list[str]:
        """What was written: each kind of text of each choice in one piece."""
        return self._text.texts()

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """The events that end the stream."""
        if self.ended:
            return b""
        word = write_finish_reason(reason)
        written = []
        if not self._open_choices and not self._finished_choices:
            opening: dict[str, object] = {"role": "assistant", "content": ""}
            written.append(chunks.write_choice(self._identity, opening))
            written.append(chunks.write_choice(self._identity, {}, word))
        written += [
            chunks.write_choice(self._identity, {}, word, index)
            for index in sorted(self._open_choices)
        ]
        if include_usage and usage is not None and not self._usage_told:
            written.append(chunks.write_usage(self._identity, usage))
        return b"".join([*written, chunks.DONE])

    def _take_event(self, data: bytes) -> None:
        try:
            chunk = (_CHUNK if self._identified else _OPENING).decode(data)
        except _UNREADABLE:
            odd = _odd(data)
            if odd is None:
                self.ended = True
                return
            chunk = odd
        if isinstance(chunk, _Opening):
            self._identify(chunk)
        for choice in chunk.choices:
            if choice.delta is not None:
                self._add(choice.delta, choice.index)
            self._note(choice)
        if chunk.usage is not None and not self._open_choices:
            self._usage_told = True

    def _identify(self, chunk: _Opening) -> None:
        if self._identified or not chunk.choices:  # Azure's first chunk has no choices, and no id
            return
        self._identified = True
        given = {"id": chunk.id, "served_model": chunk.model, "created": chunk.created}
        told = {name: value for name, value in given.items() if value is not None}
        self._identity = msgspec.structs.replace(self._identity, **told)

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

    def _note(self, choice: _Choice) -> None:
        if choice.finish_reason:
            self._open_choices.discard(choice.index)
            self._finished_choices.add(choice.index)
        elif choice.index not in self._finished_choices:
            self._open_choices.add(choice.index)


def _odd(data: bytes) -> _Opening | None:
    """Read a chunk of a shape of the upstream's own; None if it is an error, which ends a stream.

    What cannot be read at all adds nothing to any choice.
    """
    event = texts.decoded(data)
    if not isinstance(event, dict):
        return _Opening(choices=[])
    if event.get("error"):
        return None
    return _Opening(
        choices=[_odd_choice(choice) for choice in texts.objects(event.get("choices"))],
        usage=_Usage() if event.get("usage") else None,
        id=_of_type(event.get("id"), str),
        model=_of_type(event.get("model"), str),
        created=_of_type(event.get("created"), int),
    )


def _odd_choice(choice: dict[str, object]) -> _Choice:
    delta = choice.get("delta")
    said = "".join(texts.message_texts(delta)) if isinstance(delta, dict) else None
    return _Choice(
        delta=_Delta(content=said),
        index=_of_type(choice.get("index"), int) or 0,
        finish_reason=_of_type(choice.get("finish_reason"), str),
    )


def _of_type(value: object, kind: type[T]) -> T | None:
    return value if isinstance(value, kind) and not isinstance(value, bool) else None
