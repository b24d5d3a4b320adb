"""What may come next in a JSON text."""

import enum
import re

_DEEPEST = 512
_BARE = re.compile(rb"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Expected(enum.Enum):
    """What may come next, beside white space."""

    VALUE = enum.auto()
    VALUE_OR_END = enum.auto()
    KEY = enum.auto()
    KEY_OR_END = enum.auto()
    COLON = enum.auto()
    COMMA_OR_END = enum.auto()
    NOTHING = enum.auto()


_VALUES = (Expected.VALUE, Expected.VALUE_OR_END)
_KEYS = (Expected.KEY, Expected.KEY_OR_END)


class Grammar:
    """Follows a text token by token. Each method tells whether the token may stand there."""

    def __init__(self) -> None:
        self._expected = Expected.VALUE
        self._open = bytearray()

    @property
    def expects_key(self) -> bool:
        """Whether a string that comes next is the name of a member."""
        return self._expected in _KEYS

    def string(self) -> bool:
        if self.expects_key:
            self._expected = Expected.COLON
            return True
        return self._value()

    def begins_bare(self) -> bool:
        """Whether a number or word may begin; it is not taken yet."""
        return self._expected in _VALUES

    def bare(self, token: bytes) -> bool:
        return bool(_BARE.fullmatch(token)) and self._value()

    def mark(self, mark: int) -> bool:
        """One of the marks `{}[],:`."""
        if mark in b"{[":
            return self._opened(mark)
        if mark in b"}]":
            return self._closed(mark)
        if mark == ord(":"):
            return self._step(Expected.COLON, Expected.VALUE)
        if not self._open:
            return False
        after = Expected.KEY if self._open[-1] == ord("{") else Expected.VALUE
        return self._step(Expected.COMMA_OR_END, after)

    def _step(self, expected: Expected, after: Expected) -> bool:
        fits = self._expected is expected
        if fits:
            self._expected = after
        return fits

    def _value(self) -> bool:
        fits = self._expected in _VALUES
        if fits:
            self._expected = Expected.COMMA_OR_END if self._open else Expected.NOTHING
        return fits

    def _opened(self, mark: int) -> bool:
        if self._expected not in _VALUES or len(self._open) == _DEEPEST:
            return False
        self._open.append(mark)
        self._expected = Expected.KEY_OR_END if mark == ord("{") else Expected.VALUE_OR_END
        return True

    def _closed(self, mark: int) -> bool:
        opening, empty = (
            (ord("{"), Expected.KEY_OR_END)
            if mark == ord("}")
            else (ord("["), Expected.VALUE_OR_END)
        )
        if self._open[-1:] != bytes([opening]) or self._expected not in (
            empty,
            Expected.COMMA_OR_END,
        ):
            return False
        self._open.pop()
        self._expected = Expected.COMMA_OR_END if self._open else Expected.NOTHING
        return True
