"""JSON of any shape: upstreams are sent, and send, much that no type here knows."""

import json
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from meshgate.dialects.answers import UNREADABLE

T = TypeVar("T")


def decoded(body: bytes) -> object:
    """Return what a body holds; None where that cannot be found out."""
    try:
        return msgspec.json.decode(body)
    except (*UNREADABLE, ValueError):
        return None


def objects(value: object) -> list[dict[str, object]]:
    """Return the objects in what should be a list of them."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def of_type(value: object, kind: type[T]) -> T | None:
    """Return a value that is of the type; a boolean is no number."""
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def as_text(value: object) -> str:
    """Write a value for a tokenizer."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:  # a writer may go less deep than a reader
        return " ".join(_strings(value))


def _strings(value: object) -> Iterator[str]:
    """All strings in a value, however deep they are nested, in no order."""
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                yield text
            case list() as items:
                left += items
            case dict() as members:
                left += members.values()
