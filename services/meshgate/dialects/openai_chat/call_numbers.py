"""Streams that pass through, with tool calls numbered as clients rely on."""

from collections import defaultdict

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.openai_chat.tool_calls import ToolCallFragments, WireFragment
from meshgate.dialects.openai_choices import stream_tracker

# It stands in no text: there the quotes are escaped.
_CALLS = b'"tool_calls"'
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Delta(Struct, gc=False):
    tool_calls: list[WireFragment] | None = None


class _Choice(Struct, gc=False):
    delta: _Delta | None = None
    index: int = 0


class _Chunk(Struct, gc=False):
    choices: list[_Choice]


_CHUNK = msgspec.json.Decoder(_Chunk)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_ENCODER = msgspec.json.Encoder()


class StreamTracker(stream_tracker.StreamTracker):
    """Follows a stream of chat completions.

    Clients put the fragments of a tool call together by its index. Where an upstream leaves it out,
    counts from 1 or gives all calls the same, it is put right, and nothing else in the chunk. Only
    chunks that hold tool calls are looked at for it; all others cost a search.
    """

    def __init__(self, *, include_usage: bool) -> None:
        super().__init__(include_usage=include_usage)
        self._calls: defaultdict[int, ToolCallFragments] = defaultdict(ToolCallFragments)

    def _is_ordinary(self, data: bytes) -> bool:
        return _CALLS not in data and super()._is_ordinary(data)

    def _written(self, event: sse.Event) -> bytes:
        if _CALLS in event.data:
            event = sse.Event(self._numbered(event.data), event.name)
        return super()._written(event)

    def _numbered(self, data: bytes) -> bytes:
        try:
            chunk = _CHUNK.decode(data)
        except _UNREADABLE:
            return data  # of a shape of the upstream's own
        numbers = [
            [self._calls[choice.index].number(call) for call in _calls_of(choice)]
            for choice in chunk.choices
        ]
        told = [[call.index for call in _calls_of(choice)] for choice in chunk.choices]
        return data if told == numbers else _renumbered(data, numbers)


def _calls_of(choice: _Choice) -> list[WireFragment]:
    return (choice.delta.tool_calls or []) if choice.delta is not None else []


def _renumbered(data: bytes, numbers: list[list[int]]) -> bytes:
    chunk = _MEMBERS.decode(data)
    choices = [
        _in_choice(choice, of_choice)
        for choice, of_choice in zip(_ITEMS.decode(chunk["choices"]), numbers, strict=True)
    ]
    return _ENCODER.encode(chunk | {"choices": choices})


def _in_choice(raw: Raw, numbers: list[int]) -> object:
    if not numbers:
        return raw
    choice = _MEMBERS.decode(raw)
    delta = _MEMBERS.decode(choice["delta"])
    calls = [
        {"index": number} | _without_index(call)
        for number, call in zip(numbers, _ITEMS.decode(delta["tool_calls"]), strict=True)
    ]
    return choice | {"delta": delta | {"tool_calls": calls}}


def _without_index(call: Raw) -> dict[str, object]:
    return {name: value for name, value in _MEMBERS.decode(call).items() if name != "index"}
