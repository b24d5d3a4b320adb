"""Ways to spoil a recorded stream, as upstreams and proxies do."""

import copy
import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from dialects.matrix.corpora import Recording, parsed
from hypothesis import strategies as st

Path: TypeAlias = tuple[str | int, ...]

DROPPED = object()
VALUES: tuple[Any, ...] = (
    DROPPED,
    *(None, True, -1, 7, 1.5, 2**70, "", "word", "\x00", [], [None], ["word"], [[]], {}),
    *({"type": "tomorrow"}, [{}], {"text": 7}),
)
"""Other values for a member: of all types, too large, empty, or none at all."""

_BROKEN = (b"", b"{", b"}", b"null", b"[]", b"7", b'"word"', b"{}{}", b"\xff\xfe", b"[" * 3000)
_UNKNOWN = (b'{"type":"tomorrow"}', b'{"object":"tomorrow"}', b"{}")


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all members and items."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for name, member in items:
        yield (*path, name)
        yield from paths(member, (*path, name))


def with_member(recording: Recording, at: int, path: Path, value: Any) -> list[bytes]:
    """The stream with another value for one member of one event."""
    event = copy.deepcopy(parsed(recording, at))
    holder = event
    for name in path[:-1]:
        holder = holder[name]
    if value is DROPPED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return _with_payload(recording, at, json.dumps(event).encode())


@st.composite
def spoiled(draw: st.DrawFn, recording: Recording) -> list[bytes]:
    """A stream in which one or two things are wrong."""
    frames = list(recording.frames)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(frames) - 1))
        match draw(st.sampled_from(["drop", "repeat", "swap", "break", "unknown", "byte"])):
            case "drop" if len(frames) > 1:
                del frames[at]
            case "repeat":
                frames.insert(draw(st.integers(0, len(frames))), frames[at])
            case "swap":
                other = draw(st.integers(0, len(frames) - 1))
                frames[at], frames[other] = frames[other], frames[at]
            case "break":
                frames[at] = _frame(recording, draw(st.sampled_from(_BROKEN)))
            case "unknown":
                frames.insert(at, _frame(recording, draw(st.sampled_from(_UNKNOWN))))
            case _:
                frames[at] = _with_byte(draw, frames[at])
    return frames


def _with_byte(draw: st.DrawFn, frame: bytes) -> bytes:
    at = draw(st.integers(0, len(frame) - 1))
    return frame[:at] + draw(st.binary(max_size=2)) + frame[at + 1 :]


def _frame(recording: Recording, payload: bytes) -> bytes:
    return recording.framing.with_payload(recording.frames[0], payload)


def _with_payload(recording: Recording, at: int, payload: bytes) -> list[bytes]:
    frames = list(recording.frames)
    frames[at] = recording.framing.with_payload(frames[at], payload)
    return frames
