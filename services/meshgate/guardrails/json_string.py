"""The inside of a JSON string: what it says, and how that was written."""

import re
from collections import deque
from collections.abc import Iterable

from meshgate.guardrails.scanner import Piece

_SHORT = {
    ord("n"): b"\n",
    ord("t"): b"\t",
    ord("r"): b"\r",
    ord("b"): b"\b",
    ord("f"): b"\f",
    ord('"'): b'"',
    ord("\\"): b"\\",
    ord("/"): b"/",
}
_UNIT = re.compile(rb"\\u([0-9A-Fa-f]{4})")
_BEGUN_UNIT = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_LONE = "\ufffd".encode()
# UTF-16's surrogates: a character beyond the first 65,536 is a high one and a low one.
_HIGH, _LOW, _END = 0xD800, 0xDC00, 0xE000


class WrittenText:
    """What of a string is held back, as it was written.

    Each part is what it says, in bytes, and how it is written; a part without escapes may be cut.
    """

    def __init__(self) -> None:
        self._parts: deque[tuple[int, bytes]] = deque()

    @property
    def holds(self) -> bool:
        """Whether there is any."""
        return bool(self._parts)

    def add(self, said: bytes, written: bytes) -> None:
        """Take another part."""
        if said:
            self._parts.append((len(said), written))

    def shown(self, pieces: Iterable[Piece]) -> bytes:
        """Take out what the pieces cover, as it is to be written."""
        shown = bytearray()
        for length, instead in pieces:
            written = self._taken(length)
            shown += written if instead is None else instead
        return bytes(shown)

    def _taken(self, length: int) -> bytes:
        taken = bytearray()
        while length > 0:
            said, written = self._parts.popleft()
            if said > length:
                # Only what is written as it says; findings do not begin or end within a character.
                self._parts.appendleft((said - length, written[length:]))
                said, written = length, written[:length]
            taken += written
            length -= said
        return bytes(taken)


def read_escape(data: bytes, at: int, *, final: bool) -> tuple[bytes, int] | None:
    """What the escape at a place says, and where it ends; None where more of it must come."""
    unit = _UNIT.match(data, at)
    if unit is not None:
        return _read_unit(data, unit, final=final)
    if not final and _BEGUN_UNIT.match(data, at):
        return None
    said = _SHORT.get(data[at + 1]) if at + 1 < len(data) else None
    # What is no escape says what is written.
    return (data[at : at + 2], min(at + 2, len(data))) if said is None else (said, at + 2)


def _read_unit(data: bytes, unit: re.Match[bytes], *, final: bool) -> tuple[bytes, int] | None:
    code = int(unit[1], 16)
    if not _HIGH <= code < _END:
        return chr(code).encode(), unit.end()
    if code >= _LOW:
        return _LONE, unit.end()
    second = _UNIT.match(data, unit.end())
    if second is None:
        may_come = unit.end() == len(data) or _BEGUN_UNIT.match(data, unit.end())
        return None if may_come and not final else (_LONE, unit.end())
    low = int(second[1], 16)
    if not _LOW <= low < _END:
        return _LONE, unit.end()
    return chr(0x10000 + ((code - _HIGH) << 10) + (low - _LOW)).encode(), second.end()
