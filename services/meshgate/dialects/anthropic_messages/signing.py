"""Signatures of thoughts, as Anthropic's JSON carries them.

A caller of this dialect sends thoughts back with their signatures, or not at all: the block has a
place for one that may not be missing. What was not signed gets an empty one under the gateway's seal,
so that the thought is known for what it is when it comes back.
"""

from meshgate.dialects import signatures
from meshgate.dialects.neutral import Reasoning, ReasoningDelta
from meshgate.dialects.signatures import Signature

DIALECT = "anthropic_messages"
UNSIGNED = signatures.seal(Signature(b""))
SEAL = UNSIGNED[: UNSIGNED.index(".") + 1]
"""How every signature begins that the gateway wrote for another one's."""


def read(text: str) -> Signature:
    """What stands in a block; one that is not sealed was made by Anthropic."""
    if not text:
        return Signature(b"")
    found = signatures.unseal(text)
    if found.content and not found.origin and not text.startswith(SEAL):
        return Signature(found.content, DIALECT)
    return found


def write(thought: Reasoning | ReasoningDelta) -> str:
    """A signature as a caller gets it."""
    if thought.signature and signatures.is_for(thought.origin, DIALECT):
        return thought.signature.decode(errors="replace")
    return signatures.seal(Signature(thought.signature, thought.origin))
