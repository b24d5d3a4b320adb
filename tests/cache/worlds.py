"""Every store of answers, and how time passes for it."""

from collections.abc import Callable
from dataclasses import dataclass

from meshgate.cache.entries import EntryStore, Kept, Place


@dataclass
class World:
    """A store.

    Attributes:
        store: The store.
        let_expire: Let the time pass that the answer at a place may be found.
    """

    store: EntryStore
    let_expire: Callable[[Place], None]

    async def keep(self, place: Place, entry: bytes, ttl_seconds: float = 60.0) -> None:
        await self.store.keep([Kept(place, entry, ttl_seconds)])

    async def find(self, place: Place) -> bytes | None:
        return (await self.store.find([place]))[0]


def place(number: int = 0, partition: str = "acme") -> Place:
    return Place(partition, number.to_bytes(32, "big"))
