"""Looking through one text while it is written, for all rules at once."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from meshgate.guardrails.findings import Action
from meshgate.guardrails.matching import Kind, PatternMatcher, Span
from meshgate.guardrails.ruleset import Rule, Ruleset

# What matchers look at before the place from which they go on: one character.
_CHARACTER_BYTES = 4

Note: TypeAlias = Callable[[Rule, Kind], None]
"""Told of each finding."""


class Piece(NamedTuple):
    """So many bytes of the text: as they are, or something else in their place."""

    length: int
    instead: bytes | None = None


class _Found(NamedTuple):
    """A finding; in order from left to right, longer ones first, then by number.

    The number is that of the matcher and rule; what follows it is never compared.
    """

    start: int
    negative_end: int
    number: int
    rule: Rule
    kind: Kind


class Scanner:
    """Tells how a text is to be shown, piece by piece.

    Findings that are masked and overlap are masked together, under the name of the first and
    longest. Of findings of the same rule that overlap only the first is told.

    Args:
        rules: What to look for.
        note: Is told what was found.
    """

    def __init__(self, rules: Ruleset, note: Note) -> None:
        self._rules = rules
        self._note = note
        self._data = b""
        # Places are counted from the beginning of the text.
        self._begin = 0
        self._shown = 0
        self._masked = 0
        self._next = [0] * len(rules.matchers)
        self._told: dict[int, int] = {}
        self._waiting: list[_Found] = []

    def feed(self, data: bytes, *, final: bool) -> list[Piece]:
        """Take more of the text: whole characters, in UTF-8.

        Returns:
            How to show what is decided now. The lengths of all pieces up to the last call are the
            length of the text.
        """
        self._data += data
        decided = self._scan(final=final)
        pieces = list(self._pieces(decided))
        self._forget()
        return pieces

    def _scan(self, *, final: bool) -> int:
        """Find what can be decided; tell up to where that is."""
        end = len(self._data)
        swept, is_worth_it = self._swept(final=final)
        number = 0
        for at, (matcher, rules) in enumerate(self._rules.matchers):
            number += len(rules)
            begin = self._next[at] - self._begin
            if isinstance(matcher, PatternMatcher):
                if not is_worth_it:
                    self._next[at] = max(self._next[at], self._begin + swept)
                    continue
                limit = swept
            else:
                limit = end if final else matcher.undecided(self._data, begin)
            spans, place = matcher.scan(self._data, begin, limit)
            self._next[at] = self._begin + place
            self._wait(spans, number, rules, matcher.kind)
        return min([*self._next, self._begin + end])

    def _swept(self, *, final: bool) -> tuple[int, bool]:
        """Up to where patterns can be decided, and whether there is anything to decide."""
        sweep = self._rules.sweep
        if sweep is None:
            return 0, False
        begin = min(self._next) - self._begin
        limit = len(self._data) if final else sweep.undecided(self._data, begin)
        return limit, sweep.may_find(self._data, begin, limit)

    def _wait(self, spans: Sequence[Span], number: int, rules: Sequence[Rule], kind: Kind) -> None:
        """Keep what was found until all before it is decided."""
        for start, end in spans:
            for before, rule in enumerate(reversed(rules)):
                found = _Found(self._begin + start, -self._begin - end, number - before, rule, kind)
                heapq.heappush(self._waiting, found)

    def _pieces(self, decided: int) -> Iterator[Piece]:
        while self._waiting and self._waiting[0].start < decided:
            yield from self._apply(heapq.heappop(self._waiting))
        yield from self._show(decided)

    def _apply(self, found: _Found) -> Iterator[Piece]:
        start, end = found.start, -found.negative_end
        if start >= self._told.get(id(found.rule), 0):
            self._note(found.rule, found.kind)
            self._told[id(found.rule)] = end
        else:
            self._told[id(found.rule)] = max(end, self._told[id(found.rule)])
        if found.rule.shadow or found.rule.action is Action.OBSERVE:
            return
        if start >= self._masked:
            yield from self._show(start)
            yield Piece(0, found.kind.mask)
        self._masked = max(self._masked, end)

    def _show(self, place: int) -> Iterator[Piece]:
        """Up to the place: what is masked in silence, then the text."""
        hidden = min(self._masked, place)
        if hidden > self._shown:
            yield Piece(hidden - self._shown, b"")
            self._shown = hidden
        if place > self._shown:
            yield Piece(place - self._shown)
            self._shown = place

    def _forget(self) -> None:
        """Keep only what matchers look at again."""
        end = self._begin + len(self._data)
        keep = max(min([*self._next, end]) - _CHARACTER_BYTES, self._begin) - self._begin
        while keep > 0 and self._data[keep] & 0xC0 == 0x80:  # noqa: PLR2004 - inside a character
            keep -= 1
        self._data = self._data[keep:]
        self._begin += keep
