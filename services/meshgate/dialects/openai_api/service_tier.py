"""`service_tier`: how soon an upstream is to answer, or has answered, and at what prices."""

import msgspec
from msgspec import Struct

from meshgate.dialects.answers import UNREADABLE

_LONGEST = 32


class _Extras(Struct, gc=False):
    service_tier: object = None


_EXTRAS = msgspec.json.Decoder(_Extras)


def read(value: object) -> str:
    """The tier that a member names, in lower case; empty where it names none that can be."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return ""
    return value.strip().lower()


def in_extras(extra_json: bytes) -> str:
    """The tier that is named among the members that only pass through."""
    if not extra_json:
        return ""
    try:
        return read(_EXTRAS.decode(extra_json).service_tier)
    except UNREADABLE:
        return ""  # whoever writes the upstream's request refuses it
