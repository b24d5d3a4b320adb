"""Looking for everything that patterns find at once: mostly there is nothing."""

from collections.abc import Iterable, Sequence

from meshgate.config.match_pattern import compiled
from meshgate.guardrails.matching import PatternMatcher, first_unfinished

_MEMORY_BYTES = 32 << 20
# What patterns that are larger together take to compile, one search does not save.
_LARGEST = 60_000


class Sweep:
    """Tells where several patterns may find anything: one search in place of one for each.

    Args:
        matchers: Those whose patterns to look for.
    """

    def __init__(self, matchers: Sequence[PatternMatcher]) -> None:
        self._matchers = tuple(matchers)
        self._reach = max(matcher.reach for matcher in matchers)
        patterns = [matcher.pattern for matcher in matchers]
        self._any = self._unfinished = None
        if sum(pattern.size for pattern in patterns) <= _LARGEST:
            self._any = compiled(_one_of(each.plain for each in patterns), _MEMORY_BYTES)
            self._unfinished = compiled(
                _one_of(each.unfinished for each in patterns), _MEMORY_BYTES
            )

    def undecided(self, data: bytes, at: int) -> int:
        """The first place from `at` on where something may begin that is not whole yet."""
        if self._unfinished is None:
            return min(matcher.undecided(data, at) for matcher in self._matchers)
        return first_unfinished(self._unfinished, data, max(at, len(data) - self._reach))

    def may_find(self, data: bytes, at: int, limit: int) -> bool:
        """Whether any of the patterns matches from a place on before another."""
        if self._any is None:
            return True
        found = self._any.search(data, at)
        return found is not None and found.start() < limit


def _one_of(sources: Iterable[str]) -> str:
    return "|".join(f"(?:{source})" for source in sources)
