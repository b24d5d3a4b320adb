"""Streamed chat completions, taken apart and written again with what may be shown of their texts."""

from collections.abc import Iterable, Iterator

from meshgate.dialects.json_text import Found, Path
from meshgate.dialects.openai_chat.chunks import write_delta
from meshgate.dialects.openai_chat.segments import in_choice, proofs_in
from meshgate.dialects.openai_choices.chunks import Identity
from meshgate.dialects.openai_choices.inspected_stream import Frame, InspectedStream, index_of

_DELTA = "delta"
_INDEXED = ("tool_calls", "reasoning_details")


def _in_choice(choice: object, path: Path) -> Iterator[Found]:
    return in_choice(choice, path, _DELTA)


def _accumulates(found: Found) -> bool:
    """Whether later chunks bring more of a text; what stands there as a value is whole."""
    path = found.path[2:]
    return len(path) > 1 and path[0] == _DELTA and isinstance(path[-1], str) and not found.is_value


def _named(path: Path, choice: object) -> Path:
    """A path within a choice, with what says its index by that instead of its place."""
    if len(path) > 2 and path[1] in _INDEXED and isinstance(path[2], int):  # noqa: PLR2004
        item = choice["delta"][path[1]][path[2]]  # type: ignore[index]
        return (*path[:2], index_of(item, path[2]), *path[3:])
    if len(path) > 2 and path[1] == "content" and isinstance(path[2], int):  # noqa: PLR2004
        return (*path[:2], 0, *path[3:])  # parts of a text come one after the other
    return path


def _delta_of(path: Path, text: str) -> dict[str, object]:
    """A delta with a text where a channel has it."""
    _, first, *rest = path
    if first == "tool_calls" and rest:
        return {"tool_calls": [{"index": rest[0], **_nested(rest[1:], text)}]}
    if first == "reasoning_details" and len(rest) > 1:
        kind = "reasoning.summary" if rest[1] == "summary" else "reasoning.text"
        more = _nested(rest[1:], text)
        return {"reasoning_details": [{"type": kind, "index": rest[0], **more}]}
    if first == "content" and rest:
        return {"content": [{"type": rest[-1], **_nested(rest[1:], text)}]}
    return _nested([first, *rest], text)


def _nested(names: Iterable[str | int], text: str) -> dict[str, object]:
    first, *rest = names
    return {str(first): _nested(rest, text) if rest else text}


def _write_more(identity: Identity, path: Path, text: str, choice: int) -> bytes:
    return write_delta(identity, _delta_of(path, text), choice)


def _is_thought(path: Path) -> bool:
    return len(path) > 1 and str(path[1]).startswith("reasoning")


def _proofs_in(choice: object, path: Path) -> Iterator[Path]:
    return proofs_in(choice, path, _DELTA)


_FRAME = Frame(_in_choice, _accumulates, _named, _write_more, _is_thought, _proofs_in)


def inspected_stream() -> InspectedStream:
    """Begin to take a chat completion apart."""
    return InspectedStream(_FRAME)
