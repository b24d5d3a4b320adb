"""How a request in OpenAI's format says how much may be written."""

import enum

import msgspec
from msgspec import Raw

from meshgate.dialects.output_cap import lower


class OutputBound(enum.Enum):
    """The member by which an upstream is told, where the caller used none.

    OpenAI's newer models refuse MAX_TOKENS. Many servers that are compatible with the API know
    nothing else, and pass over the other in silence.
    """

    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


_MEMBERS = {bound.value for bound in OutputBound}
# Servers that are compatible take these as well: llama.cpp, Ollama, and TGI and its like; the last is
# that of responses. A caller that may set them could otherwise ask for more than the cap.
_BOUNDS = _MEMBERS | {"n_predict", "num_predict", "max_new_tokens", "max_output_tokens"}
_NULL = b"null"


def write_cap(members: dict[str, Raw], output_cap: int, bound: OutputBound) -> None:
    """Lower each bound in the members of a request to the cap; add `bound` where there is none."""
    if not lower_bounds(members, output_cap) & _MEMBERS:
        members[bound.value] = _number(output_cap)


def write_max_tokens(members: dict[str, Raw], output_cap: int) -> None:
    """Lower each bound to the cap, and have `max_tokens` among them, whatever else there is."""
    if OutputBound.MAX_TOKENS.value not in lower_bounds(members, output_cap):
        members[OutputBound.MAX_TOKENS.value] = _number(output_cap)


def lower_bounds(members: dict[str, Raw], output_cap: int) -> set[str]:
    """Lower each bound in the members of a request to the cap, and return their names.

    Names are compared without regard to case, as servers written in Go do.
    """
    found = {
        name for name in members if name.casefold() in _BOUNDS and bytes(members[name]) != _NULL
    }
    for name in found:
        members[name] = _number(lower(_read(members[name]), output_cap))
    return found


def _read(value: Raw) -> int | None:
    """What was asked for; None where it is no whole number, which bounds nothing for sure."""
    try:
        return msgspec.json.decode(value, type=int)
    except msgspec.DecodeError:
        return None


def _number(tokens: int) -> Raw:
    return Raw(str(tokens).encode())
