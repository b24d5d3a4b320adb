"""Streams that pass through, with tool calls numbered as clients rely on."""

from collections import defaultdict

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.openai_chat.tool_calls import Place, ToolCallFragments, WireFragment
from meshgate.dialects.openai_choices import stream_tracker

# It stands in no text: there the quotes are escaped.
_CALLS = b'"tool_calls"'


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
    counts from 1 or gives all calls the same, it is put right; and where it names a call again in each
    fragment, which clients would join to one long name, that is left out. Nothing else in the chunk
    is touched. Only chunks that hold tool calls are looked at for it; all others cost a search.
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
        except UNREADABLE:
            return data  # of a shape of the upstream's own
        places = [
            [self._calls[choice.index].place(call) for call in _calls_of(choice)]
            for choice in chunk.choices
        ]
        is_well = all(
            place.is_told_by(call)
            for choice, of_choice in zip(chunk.choices, places, strict=True)
            for call, place in zip(_calls_of(choice), of_choice, strict=True)
        )
        return data if is_well else _put_right(data, places)


def _calls_of(choice: _Choice) -> list[WireFragment]:
    return (choice.delta.tool_calls or []) if choice.delta is not None else []


def _put_right(data: bytes, places: list[list[Place]]) -> bytes:
    chunk = _MEMBERS.decode(data)
    choices = [
        _in_choice(choice, of_choice)
        for choice, of_choice in zip(_ITEMS.decode(chunk["choices"]), places, strict=True)
    ]
    return _ENCODER.encode(chunk | {"choices": choices})


def _in_choice(raw: Raw, places: list[Place]) -> object:
    if not places:
        return raw
    choice = _MEMBERS.decode(raw)
    delta = _MEMBERS.decode(choice["delta"])
    calls = [
        {"index": place.number} | (_without(call, "index") if place.is_first else _further(call))
        for place, call in zip(places, _ITEMS.decode(delta["tool_calls"]), strict=True)
    ]
    return choice | {"delta": delta | {"tool_calls": calls}}


def _further(call: Raw) -> dict[str, object]:
    """A fragment that is not the first: without what names the call."""
    members = _without(call, "index", "id")
    called = {
        kind: _without(members[kind], "name")
        for kind in ("function", "custom")
        if bytes(members.get(kind, Raw())).startswith(b"{")
    }
    return {**members, **called}


def _without(raw: Raw, *names: str) -> dict[str, Raw]:
    return {name: value for name, value in _MEMBERS.decode(raw).items() if name not in names}
