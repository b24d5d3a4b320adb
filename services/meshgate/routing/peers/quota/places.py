"""Places for requests at the same time, lent to this process and used again and again."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class PlaceGrant:
    """Places that quota has set aside for this process.

    Attributes:
        grant_id: Names the grant.
        size: How many they are.
        alive_at: When quota last heard that their owner lives.
    """

    grant_id: str
    size: int
    alive_at: float


class Places:
    """The places of one chain in this process."""

    def __init__(self) -> None:
        self._grants: list[PlaceGrant] = []
        self._capacity = 0
        self._taken = 0
        self._peak = 0

    @property
    def taken(self) -> int:
        """How many are taken now."""
        return self._taken

    def __iter__(self) -> Iterator[PlaceGrant]:
        return iter(tuple(self._grants))

    def __len__(self) -> int:
        return len(self._grants)

    def take(self) -> bool:
        """Take a place, if one is free."""
        if self._taken >= self._capacity:
            return False
        self._taken += 1
        self._peak = max(self._peak, self._taken)
        return True

    def leave(self) -> None:
        """Let the next one have the place."""
        self._taken -= 1

    def add(self, grant: PlaceGrant) -> None:
        """Have more places."""
        self._grants.append(grant)
        self._capacity += grant.size

    def lose(self, grant: PlaceGrant) -> None:
        """Have these no longer. Those who have taken one stay."""
        if grant not in self._grants:
            return  # it was given back meanwhile
        self._grants.remove(grant)
        self._capacity -= grant.size

    def forget_peak(self) -> None:
        """Need no more than are taken now."""
        self._peak = self._taken

    def spare(self) -> list[PlaceGrant]:
        """Give up what was not needed since the last time: the grants that became smaller.

        Those of size 0 are given up in whole.
        """
        surplus = self._capacity - self._peak
        self.forget_peak()
        smaller = []
        for grant in reversed(self._grants):
            if surplus <= 0:
                break
            cut = min(surplus, grant.size)
            grant.size -= cut
            self._capacity -= cut
            surplus -= cut
            smaller.append(grant)
        self._grants = [grant for grant in self._grants if grant.size]
        return smaller
