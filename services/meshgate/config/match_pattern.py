"""Patterns to look for in text, and what must be known of them to look through a stream.

The syntax is re2's. Beside the pattern itself there is its `reach`, the most bytes that a match can
have, and `unfinished`: a pattern for all that could still become a match when more text comes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import re2

MAXIMUM_REACH = 8192
DEFAULT_REACH = 256
MAXIMUM_PATTERN = 1000

# In re2's instructions. Larger ones take long to compile, and are slow where text is hostile.
_LARGEST = 30_000
_CHARACTER_BYTES = 4
_UNBOUNDED = 1 << 30
_DEEPEST = 50


class PatternError(ValueError):
    """A pattern cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class MatchPattern:
    """A pattern that was understood.

    Attributes:
        source: The pattern.
        plain: The same without groups that have a number or name, to be made part of another.
        reach: The most bytes that a match has; 1 << 30 and more where there is no bound.
        unfinished: Matches, at the end of a text, whatever begins a match or is one: so that text
            after it may make one, or change where it ends.
        size: The number of re2's instructions for it.
    """

    source: str
    plain: str
    reach: int
    unfinished: str
    size: int


def parse_pattern(source: str) -> MatchPattern:
    """Understand a pattern.

    Raises:
        PatternError: It is no pattern of re2, matches nothing at all, or uses what streams forbid.
    """
    whole = compiled(source)
    node = _Parser(source).pattern()
    if whole.search("") is not None or _least(node) == 0:
        raise PatternError("matches the empty text: make it match at least one character")
    unfinished = rf"(?:{_prefix(node)})\z"
    size = max(whole.programsize, compiled(unfinished).programsize)
    if size > _LARGEST:
        raise PatternError("is too large: shorten what it repeats, or repeat smaller classes")
    return MatchPattern(source, _whole(node), _most(node), unfinished, size)


def compiled(source: str, memory_bytes: int = 8 << 20) -> "re2._Regexp":
    """The pattern as re2 takes it, which may use so much memory to be fast.

    Raises:
        PatternError: It does not take it.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory_bytes
    try:
        return re2.compile(source, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "it cannot be read"
        words = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        if re.search(r"\(\?(<?[=!])|\\[1-9]", source):
            words += "; lookaround and backreferences are not supported"
        raise PatternError(f"is not a pattern of re2: {words}") from None


@dataclass(frozen=True, slots=True)
class _Atom:
    """One character: itself, or one of a class."""

    source: str
    most: int


@dataclass(frozen=True, slots=True)
class _Assertion:
    """What has no width: a boundary, or the beginning or end of a line or of the text."""

    source: str


@dataclass(frozen=True, slots=True)
class _Sequence:
    nodes: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of several; `flags` hold inside."""

    nodes: tuple["_Node", ...]
    flags: str = ""


@dataclass(frozen=True, slots=True)
class _Repeat:
    node: "_Node"
    least: int
    most: int | None
    lazy: str


_Node: TypeAlias = _Atom | _Assertion | _Sequence | _Choice | _Repeat


class _Parser:
    """Reads what re2 has found to be right, so that little can be wrong here."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0
        self._ascii_bytes = _CHARACTER_BYTES if re.search(r"\(\?[a-zA-Z]*i", source) else 1

    def pattern(self) -> _Node:
        flags = self._take(r"\(\?([imsU]+(?:-[imsU]+)?|-[imsU]+)\)")
        return _Choice(self._choices(), flags[1] if flags else "")

    def _take(self, form: str) -> re.Match[str] | None:
        match = re.compile(form, re.DOTALL).match(self._source, self._at)
        if match:
            self._at = match.end()
        return match

    def _choices(self) -> tuple[_Node, ...]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise PatternError(f"is nested more than {_DEEPEST} levels deep: flatten it")
        found = [self._sequence()]
        while self._take(r"\|"):
            found.append(self._sequence())
        self._depth -= 1
        return tuple(found)

    def _sequence(self) -> _Node:
        nodes: list[_Node] = []
        while self._at < len(self._source) and self._source[self._at] not in "|)":
            nodes.append(self._repeated(self._one()))
        return _Sequence(tuple(nodes))

    def _repeated(self, node: _Node) -> _Node:
        while found := self._take(r"(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})(\??)"):
            sign, low, comma, high, lazy = found.groups()
            if sign:
                least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
            else:
                least = int(low)
                most = (int(high) if high else None) if comma else least
            node = _Repeat(node, least, most, lazy)
        return node

    def _one(self) -> _Node:
        for form, make in self._forms:
            found = self._take(form)
            if found:
                return make(self, found)
        raise PatternError(f"has something at character {self._at + 1} that is not supported")

    def _group(self, found: re.Match[str]) -> _Node:
        nodes = self._choices()
        self._take(r"\)")
        return _Choice(nodes, found[1] or "")

    def _refuse_flags(self, found: re.Match[str]) -> _Node:
        flags = found[0].strip("()?")
        raise PatternError(
            f"sets flags in its middle: write (?{flags}:...), or set them at its beginning"
        )

    def _refuse_escape(self, found: re.Match[str]) -> _Node:
        raise PatternError(f"uses {found[0]}, which is not supported: write it out")

    def _assertion(self, found: re.Match[str]) -> _Node:
        return _Assertion(found[0])

    def _class(self, found: re.Match[str]) -> _Node:
        is_plain = found[0].isascii() and not re.search(r"^\[\^|\[:\^|\\[xpPDSW0-9]", found[0])
        return _Atom(found[0], self._ascii_bytes if is_plain else _CHARACTER_BYTES)

    def _wide(self, found: re.Match[str]) -> _Node:
        return _Atom(found[0], _CHARACTER_BYTES)

    def _literal(self, found: re.Match[str]) -> _Node:
        return _Atom(found[0], self._ascii_bytes if found[0].isascii() else _CHARACTER_BYTES)

    _forms: tuple[tuple[str, Callable[["_Parser", re.Match[str]], _Node]], ...] = (
        (r"\(\?[imsU-]+\)", _refuse_flags),
        (r"\((?:\?P?<\w+>|\?([imsU-]*):|(?!\?))", _group),
        (r"\\[CQE]", _refuse_escape),
        (r"\\[bBAz]|[\^$]", _assertion),
        (r"\\[dsw]", _class),
        (r"\\[pP](?:\{\^?\w+\}|\w)|\\[DSW]|\.", _wide),
        (r"\[\^?\]?(?:\[:\^?\w+:\]|\\x\{[0-9A-Fa-f]+\}|\\.|[^\]\\])*\]", _class),
        (r"\\x\{[0-9A-Fa-f]+\}", _wide),
        (r"\\x[0-9A-Fa-f]{2}", _wide),
        (r"\\0[0-7]{0,2}|\\[1-7][0-7]{1,2}", _wide),
        (r"\\.|[^\\()|\[*+?]", _literal),
    )


def _most(node: _Node) -> int:
    """The most bytes that it can match."""
    match node:
        case _Atom():
            return node.most
        case _Assertion():
            return 0
        case _Sequence():
            return min(sum(map(_most, node.nodes)), _UNBOUNDED)
        case _Choice():
            return max(map(_most, node.nodes))
        case _Repeat():
            times = _UNBOUNDED if node.most is None else node.most
            return min(_most(node.node) * times, _UNBOUNDED)


def _least(node: _Node) -> int:
    """The fewest characters that it can match."""
    match node:
        case _Atom():
            return 1
        case _Assertion():
            return 0
        case _Sequence():
            return sum(map(_least, node.nodes))
        case _Choice():
            return min(map(_least, node.nodes))
        case _Repeat():
            return _least(node.node) * node.least


def _whole(node: _Node) -> str:
    """The node as a pattern, groups no longer numbered."""
    match node:
        case _Atom() | _Assertion():
            return node.source
        case _Sequence():
            return "".join(map(_whole, node.nodes))
        case _Choice():
            return f"(?{node.flags}:{'|'.join(map(_whole, node.nodes))})"
        case _Repeat():
            return f"(?:{_whole(node.node)}){_times(node.least, node.most)}{node.lazy}"


def _prefix(node: _Node) -> str:
    """A pattern for everything that begins a match of the node; the match and nothing are among it.

    What is asserted where the text ends so far is taken to become true.
    """
    match node:
        case _Atom():
            return f"(?:{node.source})?"
        case _Assertion():
            return ""
        case _Sequence():
            return _prefix_of_sequence(node.nodes)
        case _Choice():
            return f"(?{node.flags}:{'|'.join(map(_prefix, node.nodes))})"
        case _Repeat():
            before = None if node.most is None else max(node.most - 1, 0)
            if node.most == 0:
                return ""
            return f"(?:{_whole(node.node)}){_times(0, before)}{_prefix(node.node)}"


def _prefix_of_sequence(nodes: tuple[_Node, ...]) -> str:
    """Each node's beginnings, after all nodes before it: nested, so that its size is linear."""
    pattern = ""
    for node in reversed(nodes):
        begun = _prefix(node)
        pattern = f"(?:{begun}|{_whole(node)}{pattern})" if pattern else begun
    return pattern


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}"
