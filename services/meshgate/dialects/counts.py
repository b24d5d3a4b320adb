"""Counts of what was consumed, as upstreams report them."""

from typing import Annotated, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw

from meshgate.dialects.answers import UNREADABLE

T = TypeVar("T")

LARGEST_COUNT = 2**31 - 1
"""The neutral counts are 32 bits wide; what does not fit is not a count of tokens."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
LooseCount: TypeAlias = Annotated[float, Meta(ge=0, le=LARGEST_COUNT)]
"""Of APIs that have their counts as floats."""


def read_counts(decoder: "msgspec.json.Decoder[T]", raw: Raw | bytes) -> T | None:
    """What a member counts; None where it is missing, or says nothing that makes sense.

    An answer is not thrown away for an unreadable count: it was paid for, and can be estimated.
    """
    data = bytes(raw)
    if not data or data == b"null":
        return None
    try:
        return decoder.decode(data)
    except UNREADABLE:
        return None
