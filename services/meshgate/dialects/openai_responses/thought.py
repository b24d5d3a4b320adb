"""Thoughts in reasoning items: whose they are, and how they travel with callers.

`encrypted_content` holds what only the upstream that made it can read. OpenAI's own is passed on as it
is; that of another upstream is sealed with the name of its dialect, and with whether it may be shown.
Nothing is stored, so it is given with every thought that has one, whatever `include` says.
"""

from meshgate.dialects import signatures
from meshgate.dialects.neutral import Reasoning
from meshgate.dialects.signatures import Signature

DIALECT = "openai_responses"
_REDACTED = ".redacted"


def encrypted_content(signature: bytes, origin: str, *, is_redacted: bool) -> str:
    """What a caller is given to send back; empty where there is nothing."""
    if not signature:
        return ""
    if origin in ("", DIALECT) and not is_redacted:
        return signature.decode(errors="replace")
    marked = (origin or DIALECT) + (_REDACTED if is_redacted else "")
    return signatures.seal(Signature(signature, marked))


def read(text: str, content: str, item_id: str) -> Reasoning:
    """The thought that a caller sends back."""
    found = signatures.unseal(content) if content else Signature(b"")
    origin = found.origin.removesuffix(_REDACTED)
    return Reasoning(
        text=text,
        signature=found.content,
        origin=(origin or DIALECT) if found.content else "",
        is_redacted=found.origin.endswith(_REDACTED),
        id=item_id,
    )


def own_content(content: str) -> str | None:
    """What OpenAI has written, of what a caller sends back; None if somebody else has."""
    found = signatures.unseal(content)
    if not signatures.is_for(found.origin.removesuffix(_REDACTED), DIALECT):
        return None
    return found.content.decode(errors="replace")
