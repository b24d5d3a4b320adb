"""Looking for one kind of thing in a text that is still being written.

What is found is a function of the whole text: at each place a candidate is decided by the bytes of
its reach, one byte before and one byte after them, and by nothing else. A place is decided when no
text to come can change that; places are decided from left to right, and what was found last is
passed over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from meshgate.config.match_pattern import compiled, parse_pattern

Span: TypeAlias = tuple[int, int]

# How many reaches are searched at once where matches have no bound of their own.
_REACHES_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """What is looked for.

    Attributes:
        detector: Its name in findings.
        mask: What takes its place: ASCII that needs no escape in JSON.
    """

    detector: str
    mask: bytes

    @classmethod
    def named(cls, detector: str, mask: str = "") -> "Kind":
        """With the mask that follows from the name, or another one."""
        word = mask or "".join(c if c.isalnum() else "_" for c in detector.upper())
        return cls(detector, f"[{word}]".encode("ascii"))


class Matcher(Protocol):
    """Finds things of one kind. Keeps nothing between calls."""

    @property
    def kind(self) -> Kind: ...

    @property
    def reach(self) -> int:
        """The most bytes that are held back for it."""
        ...

    def undecided(self, data: bytes, at: int) -> int:
        """The first place from `at` on where something may begin that is not whole yet."""
        ...

    def scan(self, data: bytes, at: int, limit: int) -> tuple[list[Span], int]:
        """Find what begins before a limit, up to which everything is decided.

        Args:
            data: A text in UTF-8, whole characters, from its beginning or from at least one
                character before `at`.
            at: Where it was left.
            limit: Where to stop; the end of the data if the text ends with it.

        Returns:
            What was found, and the place to go on from: nothing to come begins before it.
        """
        ...


Check: TypeAlias = Callable[[bytes, int, int], Span | None]
"""Looks closer at a candidate, and one byte to its left and right; tells what of it was meant."""


def anything(_data: bytes, start: int, end: int) -> Span:
    """Take each candidate as it is."""
    return start, end


class PatternMatcher:
    """Finds what a pattern matches within a reach, and a check finds right.

    Args:
        kind: What it finds.
        source: The pattern, of re2.
        reach: The most bytes of a match; of a longer one it is as if the text ended there. None
            for patterns that have a bound of their own.
        check: Looks closer.
    """

    def __init__(
        self, kind: Kind, source: str, reach: int | None = None, check: Check = anything
    ) -> None:
        self.pattern = parse_pattern(source)
        self.kind = kind
        self.reach = self.pattern.reach if reach is None else min(reach, self.pattern.reach)
        self._is_cut = self.reach < self.pattern.reach
        self._compiled = compiled(source)
        self._unfinished = compiled(self.pattern.unfinished)
        self._check = check

    def undecided(self, data: bytes, at: int) -> int:
        return first_unfinished(self._unfinished, data, max(at, len(data) - self.reach))

    def scan(self, data: bytes, at: int, limit: int) -> tuple[list[Span], int]:
        spans: list[Span] = []
        while at < limit:
            candidate = self._candidate(data, at, limit)
            if candidate is None:
                break
            span = self._check(data, *candidate)
            if span is None:
                at = candidate[0] + 1
            else:
                spans.append(span)
                at = span[1]
        return spans, max(at, limit)

    def _candidate(self, data: bytes, at: int, limit: int) -> Span | None:
        """The first match that begins before the limit."""
        if self._is_cut:
            return self._cut_candidate(data, at, limit)
        found = self._compiled.search(data, at)
        if found is None or found.start() >= limit:
            return None
        return found.span()  # type: ignore[no-any-return]

    def _cut_candidate(self, data: bytes, at: int, limit: int) -> Span | None:
        """As above, of the matches that fit into the reach: stretch by stretch, to stay linear."""
        while at < limit:
            stop = min(len(data), at + _REACHES_AT_ONCE * self.reach)
            found = self._compiled.search(data, at, stop)
            if found is None:
                at = limit if stop == len(data) else stop - self.reach
                continue
            at = found.start()
            fitting = self._compiled.match(data, at, min(len(data), at + self.reach))
            if fitting is not None and at < limit:
                return fitting.span()  # type: ignore[no-any-return]
            at += 1
        return None


def first_unfinished(pattern: Any, data: bytes, at: int) -> int:
    """Where the beginning of a match begins with which the data end, or their end."""
    found = pattern.search(data, at)
    return len(data) if found is None else int(found.start())
