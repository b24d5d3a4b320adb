"""A store of answers as plainly as it can be said: what every other must do."""

from collections.abc import Callable, Sequence

from meshgate.cache.entries import Kept, Place


class MemoryStore:
    """An `EntryStore` in this process."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[Place, tuple[float, bytes]] = {}

    async def find(self, places: Sequence[Place]) -> list[bytes | None]:
        return [self._found(place) for place in places]

    async def keep(self, items: Sequence[Kept]) -> None:
        for item in items:
            self._entries[item.place] = (self._now() + item.ttl_seconds, item.entry)

    async def forget(self, partition: str) -> None:
        self._entries = {
            place: kept for place, kept in self._entries.items() if place.partition != partition
        }

    def _found(self, place: Place) -> bytes | None:
        until, entry = self._entries.get(place, (0.0, b""))
        return entry if until > self._now() else None
