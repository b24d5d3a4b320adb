"""Grants as the model remembers them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from quota.counted import Counted, Key

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.quota.grants import Hold, Lease


@dataclass
class Booked:
    """So much, of what one limit counts, at one moment."""

    moment: int
    amount: int


@dataclass
class Given:
    """A grant, as it is remembered."""

    item: Hold | Lease
    granted_at: int
    expires: int
    lease_ms: int
    amounts: Amounts = NOTHING
    remaining: Amounts = NOTHING
    settled: Amounts = NOTHING
    held: dict[Counted, list[Booked]] = field(default_factory=dict)
    given_back: bool = False
    ended: bool = False
    abandoned: bool = False

    @property
    def is_live(self) -> bool:
        return not (self.ended or self.abandoned)

    def add(self, moment: int, more: Amounts) -> None:
        self.amounts += more
        self.remaining += more
        for counted, held in self.held.items():
            held.append(Booked(moment, more.of(counted.limit.kind)))


def held_by(given: Given, counted: Counted) -> Iterator[Booked]:
    """What a grant holds, or held until it was abandoned, in a counter; once, however many limits."""
    first = first_of(given.held, counted.key)
    if first is not None:
        yield from given.held[first]


def first_of(limits: Iterable[Counted], key: Key) -> Counted | None:
    """Limits that share a counter are counted once."""
    return next((counted for counted in limits if counted.key == key), None)


def take(portions: Iterable[Booked], amount: int) -> list[tuple[int, int]]:
    """Take so much out of the portions, in order: moment and amount of each."""
    taken = []
    for portion in portions:
        part = min(portion.amount, amount)
        portion.amount -= part
        amount -= part
        taken.append((portion.moment, part))
    return taken
