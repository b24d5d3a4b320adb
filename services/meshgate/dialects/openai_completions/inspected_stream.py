"""Streamed completions, taken apart and written again with what may be shown of their texts.

What a choice says is streamed as its `text`, and so is what upstreams say beside it.
"""

from meshgate.dialects.json_text import Found, Path
from meshgate.dialects.openai_choices.chunks import Identity
from meshgate.dialects.openai_choices.inspected_stream import Frame, InspectedStream
from meshgate.dialects.openai_completions.chunks import FORM
from meshgate.dialects.openai_completions.segments import in_choice

_LENGTH_OF_MEMBERS = len(("choices", 0, "text"))


def inspected_stream() -> InspectedStream:
    """Begin to take a completion apart."""
    return InspectedStream(_FRAME)


def _accumulates(found: Found) -> bool:
    """Whether a text is a choice's member; what stands there as a value is whole."""
    return len(found.path) == _LENGTH_OF_MEMBERS and not found.is_value


def _lasting(path: Path, _choice: object) -> Path:
    return path


def _write_more(identity: Identity, path: Path, text: str, choice: int) -> bytes:
    (name,) = path
    return FORM.write_choice(identity, {"text": "", str(name): text}, index=choice)


_FRAME = Frame(in_choice, _accumulates, _lasting, _write_more)
