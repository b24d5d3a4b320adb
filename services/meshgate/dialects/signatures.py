"""Signatures of thoughts, as callers of another dialect than the upstream's carry them.

A signature means something to the upstream that made it only. A caller whose answer was translated
gets it with the name of the upstream's dialect, and sends it back so; what is sent to an upstream of
another dialect (after a fallback, or to another model) is left out there rather than be refused.
"""

import base64
import binascii
from typing import NamedTuple

_MARK = "mg1."


class Signature(NamedTuple):
    """A signature, and the dialect of the upstream that made it; empty for the one spoken here."""

    content: bytes
    origin: str = ""


def seal(signature: Signature) -> str:
    """Write a signature for a caller, in ASCII."""
    content = base64.urlsafe_b64encode(signature.content).decode()
    return f"{_MARK}{signature.origin}.{content}"


def unseal(text: str) -> Signature:
    """Read what a caller sends back; what was not written by `seal` is of the caller's own dialect."""
    if not text.startswith(_MARK):
        return Signature(text.encode(errors="replace"))
    origin, _, content = text[len(_MARK) :].rpartition(".")
    try:
        return Signature(base64.b64decode(content, altchars=b"-_", validate=True), origin)
    except (binascii.Error, ValueError):
        return Signature(text.encode(errors="replace"))


def is_for(origin: str, dialect: str) -> bool:
    """Whether an upstream that speaks `dialect` can read a signature of this origin."""
    return origin in ("", dialect)
