"""What a metric tells for each combination of its labels' values, within bounds."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Told = TypeVar("Told")

OTHER = "other"
"""What stands for the values of labels that came when there were too many."""

MOST_SERIES = 2000


class BoundedSeries(Generic[Told]):
    """Something that is told, by the values of labels.

    However many values there are, it does not grow without end: what comes when there are too many
    is told together, as `other`.

    Args:
        make: Makes what is told of one combination.
        most: How many combinations there may be.
    """

    def __init__(self, make: Callable[[], Told], most: int) -> None:
        self._make = make
        self._most = most
        self._told: dict[tuple[str, ...], Told] = {}

    def of(self, *values: str) -> Told:
        """What is told for these values of the labels; made at the first call."""
        found = self._told.get(values)
        if found is None:
            if len(self._told) >= self._most:
                values = (OTHER,) * len(values)
            found = self._told.setdefault(values, self._make())
        return found

    def series(self) -> Iterable[tuple[list[str], Told]]:
        """All there are, as they are now: others may be made meanwhile."""
        return [(list(values), told) for values, told in list(self._told.items())]
