"""What a model has thought, as `reasoning_details` carry it: the array that OpenRouter has published.

    {"type": "reasoning.text", "text": ..., "signature": ...}    a thought, and the proof of it
    {"type": "reasoning.summary", "summary": ...}                what is shown in its place
    {"type": "reasoning.encrypted", "data": ...}                 one that may not be shown

each with an `id` and an `index`, by which the pieces of a streamed one belong together. The proof of
a tool call stands in the call, as in Google's own API of this format:
`extra_content.google.thought_signature`.

Sources: https://openrouter.ai/docs/guides/best-practices/reasoning-tokens ("reasoning_details"),
https://ai.google.dev/gemini-api/docs/thought-signatures ("OpenAI compatibility").

A signature of an upstream that speaks this dialect stands there as it is, one of another sealed.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import signatures
from meshgate.dialects.neutral import Reasoning, ReasoningDelta
from meshgate.dialects.signatures import Signature

DIALECT = "openai_chat"

_ENCRYPTED = "reasoning.encrypted"


class Detail(Struct, omit_defaults=True):
    """One thought, or a piece of one."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    index: int | None = None

    @property
    def said(self) -> str:
        return self.text or self.summary or ""

    @property
    def proof(self) -> str:
        return self.data or self.signature or ""


class _Google(Struct):
    thought_signature: str | None = None


class ExtraContent(Struct):
    """What Google adds to a tool call."""

    google: _Google | None = None


_DETAILS = msgspec.json.Decoder(list[Detail])
_TEXT = msgspec.json.Decoder(str)


def details_in(raw: Raw) -> list[Detail]:
    """The thoughts in `reasoning_details`; none where they cannot be understood."""
    if not bytes(raw).startswith(b"["):
        return []
    try:
        return _DETAILS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def text_in(raw: Raw) -> str:
    """What `reasoning` says, where it is a text, as with vLLM and OpenRouter, and nothing else."""
    return _TEXT.decode(raw) if bytes(raw).startswith(b'"') else ""


def read(details: Sequence[Detail]) -> list[Reasoning]:
    """Whole thoughts."""
    pieces = (read_delta(detail) for detail in details)
    return [
        Reasoning(
            text=it.text,
            signature=it.signature,
            origin=it.origin,
            is_redacted=it.is_redacted,
            id=it.id,
        )
        for it in pieces
        if it is not None
    ]


def read_delta(detail: Detail) -> ReasoningDelta | None:
    """A piece of a thought; None where it says nothing."""
    if not detail.proof:
        return ReasoningDelta(detail.said) if detail.said else None
    content, origin = signatures.unseal(detail.proof)
    is_redacted = detail.type == _ENCRYPTED
    return ReasoningDelta(detail.said, content, origin or DIALECT, is_redacted, detail.id or "")


def call_proof(extra: ExtraContent | None) -> Reasoning | None:
    """The proof of a tool call, as a thought that stands before it."""
    if extra is None or extra.google is None or not extra.google.thought_signature:
        return None
    content, origin = signatures.unseal(extra.google.thought_signature)
    return Reasoning(text="", signature=content, origin=origin or DIALECT)


def write(thoughts: Sequence[Reasoning]) -> list[Detail]:
    """Whole thoughts, as they are told."""
    return [write_piece(thought, index) for index, thought in enumerate(thoughts)]


def write_piece(thought: Reasoning | ReasoningDelta, index: int) -> Detail:
    """A thought, or a piece of one."""
    proof = sealed(thought) if thought.signature else None
    if thought.is_redacted and not thought.text:
        return Detail(type=_ENCRYPTED, data=proof, id=thought.id or None, index=index)
    return Detail(
        type="reasoning.text",
        text=thought.text,
        signature=proof,
        id=thought.id or None,
        index=index,
    )


def write_call_proof(thought: Reasoning | ReasoningDelta) -> dict[str, object]:
    """The proof of a tool call, as members of the call."""
    return {"extra_content": {"google": {"thought_signature": sealed(thought)}}}


def proves_call(thought: Reasoning | ReasoningDelta) -> bool:
    """Whether it is the proof of what comes next, and no thought by itself."""
    return bool(thought.signature) and not (thought.text or thought.is_redacted)


def sealed(thought: Reasoning | ReasoningDelta) -> str:
    """The signature of a thought, as it is written."""
    if signatures.is_for(thought.origin, DIALECT):
        return thought.signature.decode(errors="replace")
    return signatures.seal(Signature(thought.signature, thought.origin))


def is_readable(thought: Reasoning) -> bool:
    """Whether an upstream of this dialect can read its signature."""
    return signatures.is_for(thought.origin, DIALECT)
