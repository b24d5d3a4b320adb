"""Both spellings of members: Google's parser takes `maxOutputTokens` and `max_output_tokens` alike."""

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec
from msgspec import Raw

from meshgate.dialects.openai_api.request_body import decode
from meshgate.runtime.errors import InvalidRequestError

Shape: TypeAlias = "Mapping[str, Shape]"
"""The members whose values are objects of the API, or lists of such. All others are left alone: what
an application has named itself keeps its name."""

_SNAKE_CASE = re.compile(rb'"[a-z]+(?:_[a-z0-9]+)+"\s*:')
_WORD_START = re.compile(r"_([a-z0-9])")
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_ENCODER = msgspec.json.Encoder()


def in_camel_case(name: str) -> str:
    """A member's name as Google writes it."""
    return _WORD_START.sub(lambda found: found[1].upper(), name) if "_" in name else name


def with_camel_case(body: bytes, shape: Shape) -> bytes:
    """A body with Google's own spelling of the names; values are not touched.

    Raises:
        InvalidRequestError: It is no JSON, or names a member in both ways.
    """
    # A name may be written with escapes, too.
    if b"\\u" in body or _SNAKE_CASE.search(body):
        return _renamed(body, shape)
    return body


def spellings(members: Mapping[str, Raw], name: str) -> list[str]:
    """How the members spell a name; Google's way where it is not among them."""
    return [other for other in members if in_camel_case(other) == name] or [name]


def _renamed(value: bytes, shape: Shape) -> bytes:
    value = value.lstrip()
    if value.startswith(b"["):
        return _ENCODER.encode([Raw(_renamed(item, shape)) for item in _items(value)])
    if not value.startswith(b"{"):
        return value
    renamed: dict[str, Raw] = {}
    for name, member in decode(_MEMBERS, value).items():
        written = in_camel_case(name)
        if written in renamed:
            raise InvalidRequestError(f"'{written}' is there twice.", field=written, name=written)
        inner = shape.get(written)
        renamed[written] = member if inner is None else Raw(_renamed(bytes(member), inner))
    return _ENCODER.encode(renamed)


def _items(value: bytes) -> Iterator[bytes]:
    items: list[Raw] = decode(_ITEMS, value)
    return map(bytes, items)
