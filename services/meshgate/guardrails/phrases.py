"""Finding words and phrases, in whatever case."""

from collections.abc import Iterator, Sequence

from ahocorasick_rs import AhoCorasick

from meshgate.guardrails.matching import Kind, Span

# From here on scripts do not part words by spaces, or hang endings on: Thai, Korean, Chinese, ...
_UNSPACED = 0x0E00
_CHARACTER_BYTES = 4


class PhraseMatcher:
    """Finds whole words and phrases, the longest of those that begin at the same place.

    Args:
        phrases: What to look for.
    """

    kind = Kind.named("phrase")

    def __init__(self, phrases: Sequence[str]) -> None:
        folded = sorted({_folded(phrase) for phrase in phrases})
        self._automaton = AhoCorasick(folded)
        self._longest = max(map(len, folded))
        self._beginnings = frozenset(
            phrase[:length] for phrase in folded for length in range(1, len(phrase) + 1)
        )
        self.reach = self._longest * _CHARACTER_BYTES

    def undecided(self, data: bytes, at: int) -> int:
        """The first place from which the rest of the text is the beginning of a phrase."""
        text = _folded(data[at:].decode())
        for start in range(max(0, len(text) - self._longest), len(text)):
            if text[start:] in self._beginnings:
                return _Place(data, at).of(start)
        return len(data)

    def scan(self, data: bytes, at: int, limit: int) -> tuple[list[Span], int]:
        shown = _character_before(data, at)
        text = _folded(data[shown:].decode())
        place = _Place(data, shown)
        spans: list[Span] = []
        for first, last in self._found(text, 1 if shown < at else 0):
            start = place.of(first)
            if start >= limit:
                break
            if start >= at:
                at = place.of(last)
                spans.append((start, at))
        return spans, max(at, limit)

    def _found(self, text: str, first: int) -> Iterator[Span]:
        """Whole words that are phrases, from left to right, longer ones first."""
        found = self._automaton.find_matches_as_indexes(text, overlapping=True)
        spans = [(start, -end) for _, start, end in found if start >= first]
        spans.sort()
        for start, negative_end in spans:
            if not _goes_on(text, start) and not _goes_on(text, -negative_end):
                yield start, -negative_end


class _Place:
    """Bytes of characters, which are mostly asked for from left to right."""

    def __init__(self, data: bytes, at: int) -> None:
        self._text = "" if data.isascii() else data[at:].decode()
        self._at = at
        self._seen = 0

    def of(self, character: int) -> int:
        """Where the character begins."""
        if character < self._seen:
            self._at -= len(self._text[character : self._seen].encode()) or self._seen - character
        elif self._text:
            self._at += len(self._text[self._seen : character].encode())
        else:
            self._at += character - self._seen
        self._seen = character
        return self._at


def _goes_on(text: str, at: int) -> bool:
    """Whether a word goes on there that is written without spaces in it."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    return before.isalnum() and after.isalnum() and max(ord(before), ord(after)) < _UNSPACED


def _character_before(data: bytes, at: int) -> int:
    """Where the character begins that ends there."""
    start = max(at - 1, 0)
    while start > 0 and data[start] & 0xC0 == 0x80:  # noqa: PLR2004 - not the first of its character
        start -= 1
    return start


class _Folds(dict[int, str]):
    """Characters without their case; one for one, so that places stay what they are."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        for folded in (character.casefold(), character.lower()):
            if len(folded) == 1:
                break
        else:
            folded = character
        self[point] = folded
        return folded


_FOLDS = _Folds()


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_FOLDS)
