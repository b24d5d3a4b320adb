"""The inputs of embeddings requests, each by itself."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from msgspec import Raw

from meshgate.dialects.openai_api.request_body import decode

Input: TypeAlias = str | list[int]
"""A text, or its tokens."""

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_INPUTS = msgspec.json.Decoder(list[Raw])


def inputs_of(given: object) -> Sequence[Input]:
    """What is to be embedded, each by itself; nothing where that cannot be said."""
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, list):
        return ()
    if _are_tokens(given):
        return (given,)
    is_known = all(isinstance(each, str) for each in given) or all(map(_are_tokens, given))
    return given if is_known else ()


def narrowed(body: bytes, positions: Sequence[int]) -> bytes:
    """A request for some of the inputs of a list, by their positions; all else as it was.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    members = decode(_MEMBERS, body)
    inputs = decode(_INPUTS, bytes(members.get("input", b"[]")))
    some = [inputs[position] for position in positions]
    return msgspec.json.encode(members | {"input": some})


def _are_tokens(given: object) -> bool:
    return (
        isinstance(given, list)
        and bool(given)
        and all(type(token) is int for token in given)  # True is none
    )
