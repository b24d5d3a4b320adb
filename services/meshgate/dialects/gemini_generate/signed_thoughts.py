"""`thoughtSignature`: bytes in base64, and how those of other upstreams are carried in them.

A signature of another upstream is sealed, with the thought's id and whether it may be shown, and the
seal is the content of the base64. Two contents that Google documents for calls which Gemini did not
make itself stand for no signature at all:
https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

import base64
import binascii

from meshgate.dialects import signatures
from meshgate.dialects.neutral import Reasoning, ReasoningDelta
from meshgate.dialects.signatures import Signature

DIALECT = "gemini_generate"
UNSIGNED = "skip_thought_signature_validator"
"""Stands where Gemini wants a signature of a call that it has not made."""

_MARK = b"mg1."
_URL_SAFE = str.maketrans("-_", "+/")


def read(text: str) -> Reasoning | None:
    """The thought without text that a signature is; None where it is none."""
    content = _decoded(text)
    if content is None or content in _NO_SIGNATURES or not content:
        return None
    if not content.startswith(_MARK):
        return Reasoning(text="", signature=content, origin=DIALECT)
    sealed, _, more = content.decode(errors="replace").partition("~")
    flag, _, name = more.partition("~")
    signature, origin = signatures.unseal(sealed)
    return Reasoning(
        text="",
        signature=signature,
        origin=origin or DIALECT,
        is_redacted=flag == "r",
        id=name,
    )


def write(thought: Reasoning | ReasoningDelta) -> str:
    """The signature of a thought, for callers."""
    if is_own(thought):
        return encoded(thought.signature)
    sealed = signatures.seal(Signature(thought.signature, thought.origin))
    if thought.is_redacted or thought.id:
        sealed += f"~{'r' if thought.is_redacted else ''}~{thought.id}"
    return encoded(sealed.encode())


def is_own(thought: Reasoning | ReasoningDelta) -> bool:
    """Whether a thought is Gemini's, which signs what comes after a thought, and not the thought."""
    return signatures.is_for(thought.origin, DIALECT)


def encoded(content: bytes) -> str:
    """Bytes as Google's JSON has them."""
    return base64.b64encode(content).decode("ascii")


def _decoded(text: str) -> bytes | None:
    plain = text.translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


_NO_SIGNATURES = {_decoded(UNSIGNED), _decoded("context_engineering_is_the_way_to_go")}
