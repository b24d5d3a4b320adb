"""Texts within JSON, by where they stand, and putting others in their place.

What is not replaced keeps its bytes and its order.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.segments import Segment, SegmentKind

Path: TypeAlias = tuple[str | int, ...]
"""The names of members and the numbers of items that lead to a value."""

# A name that is none of the API's words may itself be what nobody shall read in a record.
_TOLD = frozenset(
    {"messages", "choices", "message", "delta", "content", "text", "refusal", "name", "input"}
    | {
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "summary",
        "thinking",
        "tool_calls",
        "function",
        "custom",
    }
    | {"arguments", "function_call", "audio", "transcript", "prediction", "prompt", "suffix"}
    | {"instructions", "output", "summary", "annotations", "annotation", "item", "response", "part"}
    | {"contents", "parts", "candidates", "systemInstruction", "functionCall", "args", "requests"}
    | {"functionResponse", "response"}
)

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_ENCODER = msgspec.json.Encoder()
_OPENING, _CLOSING, _BRACE, _END_BRACE, _COLON, _COMMA = map(
    Raw, (b"[", b"]", b"{", b"}", b":", b",")
)


class Found(Struct, frozen=True):
    """A text.

    Attributes:
        path: Where it stands.
        kind: What it is.
        text: The text; not empty.
        is_value: Whether it is the JSON of the value itself, rather than a string's text.
    """

    path: Path
    kind: SegmentKind
    text: str
    is_value: bool = False

    def written(self, text: str) -> bytes:
        """Another text as it stands in the JSON."""
        return text.encode() if self.is_value else _ENCODER.encode(text)


Reader: TypeAlias = Callable[[object, Path], Iterator[Found]]
"""Finds the texts in a value."""


class JsonCut:
    """A JSON body, and the texts in it.

    Args:
        body: All of it.
        found: The texts.
        betraying: What has to go where a text was replaced, for it tells the same again.
    """

    def __init__(self, body: bytes, found: Iterator[Found], betraying: Sequence[Path] = ()) -> None:
        self._body = body
        self._found: dict[str, Found] = {}
        for each in found:
            where = locator(each.path)
            self._found[f"{where}#{len(self._found)}" if where in self._found else where] = each
        self._betraying = betraying
        self.segments = [
            Segment(where, each.kind, each.text) for where, each in self._found.items()
        ]

    def masked(self, texts: Mapping[str, str]) -> bytes:
        """The body with these texts in place of its own."""
        found = {self._found[where]: text for where, text in texts.items()}
        changes = {each.path: each.written(text) for each, text in found.items()}
        if changes:
            changes |= dict.fromkeys(self._betraying, b"null")
        return replaced(self._body, changes)


def replaced(raw: bytes, changes: Mapping[Path, bytes]) -> bytes:
    """JSON with other values at these paths, all of which lead to one."""
    if not changes:
        return raw
    if () in changes:
        return changes[()]
    inner: dict[str | int, dict[Path, bytes]] = defaultdict(dict)
    for (first, *rest), value in changes.items():
        inner[first][tuple(rest)] = value
    if isinstance(next(iter(inner)), int):
        items = _ITEMS.decode(raw)
        return _ENCODER.encode([_changed(item, inner.get(at)) for at, item in enumerate(items)])
    members = _MEMBERS.decode(raw)
    return _ENCODER.encode(
        {name: _changed(item, inner.get(name)) for name, item in members.items()}
    )


def locator(path: Path) -> str:
    """A path as it is told: `messages[0].content`; names of a caller's own making are not."""
    return "".join(map(_step, path)).removeprefix(".")


def in_value(value: object, path: Path) -> Iterator[Found]:
    """The text that a value of any kind is: a string's own, or else its JSON, if it holds strings."""
    if isinstance(value, str):
        if value:
            yield Found(path, SegmentKind.TEXT, value)
    elif isinstance(value, dict | list) and value:
        text = _json_of(value)
        if '"' in text:
            yield Found(path, SegmentKind.JSON, text, is_value=True)


def in_json(value: object, path: Path) -> Iterator[Found]:
    """The JSON that a string holds."""
    if not isinstance(value, str):
        yield from in_value(value, path)
    elif value:
        yield Found(path, SegmentKind.JSON, value)


def in_members(
    value: object, path: Path, skipped: Collection[str], readers: Mapping[str, Reader]
) -> Iterator[Found]:
    """The texts in an object's members, except those that hold none.

    Members that nobody knows are looked at too: upstreams may read them.
    """
    if not isinstance(value, dict):
        yield from in_value(value, path)
        return
    for name, member in value.items():
        if name not in skipped:
            yield from readers.get(name, in_value)(member, (*path, name))


def in_items(value: object, path: Path, reader: Reader) -> Iterator[Found]:
    """The texts in a list's items."""
    if not isinstance(value, list):
        yield from in_value(value, path)
        return
    for at, item in enumerate(value):
        yield from reader(item, (*path, at))


def _json_of(value: object) -> str:
    try:
        return _ENCODER.encode(value).decode()
    except RecursionError:  # a writer may go less deep than a reader
        return "".join(_pieces_of(value))


def _pieces_of(value: object) -> Iterator[str]:
    """The JSON of a value, however deep it is nested, piece by piece."""
    left: list[object] = [value]
    while left:
        match left.pop():
            case Raw() as written:
                yield bytes(written).decode()
            case list() as items:
                left += reversed([_OPENING, *_parted([item] for item in items), _CLOSING])
            case dict() as members:
                named = ([_raw(name), _COLON, member] for name, member in members.items())
                left += reversed([_BRACE, *_parted(named), _END_BRACE])
            case other:
                yield _ENCODER.encode(other).decode()


def _parted(groups: Iterable[list[object]]) -> Iterator[object]:
    for at, group in enumerate(groups):
        yield from (_COMMA, *group) if at else group


def _raw(name: object) -> Raw:
    return Raw(_ENCODER.encode(name))


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step in _TOLD else ".*"


def _changed(raw: Raw, changes: Mapping[Path, bytes] | None) -> Raw:
    return raw if changes is None else Raw(replaced(bytes(raw), changes))
