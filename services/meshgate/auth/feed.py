"""How a process learns what others change in the database."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import structlog

from meshgate.runtime.errors import ServiceUnavailableError

POLL_SECONDS = 0.2
# Three polls; with the second of silence that callers bear, a lost database is known in two.
BLIND_AFTER_SECONDS = 0.6

_log = structlog.get_logger(__name__)

Changed: TypeAlias = frozenset[str] | None
"""The ids of records that changed and of all whose principals changed with them; None for all."""
EVERYTHING_CHANGED: Changed = None
Apply: TypeAlias = Callable[[Changed], Awaitable[None]]
"""Makes what changed hold in this process. Called after every look, with nothing too."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed up to a point.

    Attributes:
        latest: The sequence number of the last change.
        changed: What changed.
    """

    latest: int
    changed: Changed


class ChangeReader(Protocol):
    """Reads what was changed, by whichever process."""

    async def since(self, seen: int | None) -> Changes:
        """What has changed since the change with that number; everything for None.

        Raises:
            ServiceUnavailableError: It cannot be told now.
        """
        ...


class ChangeFeed:
    """Looks for changes again and again, and knows how long ago it last could.

    Args:
        reader: Where changes are.
        now: A clock that never goes back.
        sleep: How the time between two looks is spent.
    """

    def __init__(
        self,
        reader: ChangeReader,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reader = reader
        self._now = now
        self._sleep = sleep
        self._seen: int | None = None
        self._seen_at = float("-inf")

    def sees(self) -> bool:
        """Whether all changes hold here, but for those of the last moment."""
        return self._now() - self._seen_at <= BLIND_AFTER_SECONDS

    async def poll(self, apply: Apply) -> None:
        """Look once, and make what changed hold.

        Raises:
            ServiceUnavailableError: The changes cannot be read now.
        """
        began_at = self._now()
        changes = await self._reader.since(self._seen)
        await apply(changes.changed)
        self._seen, self._seen_at = changes.latest, began_at

    async def follow(self, apply: Apply) -> None:
        """Look for changes and make them hold, without end."""
        lost = False
        while True:
            try:
                await self.poll(apply)
            except ServiceUnavailableError as error:
                if not lost:
                    _log.error("changes of keys are not seen", cause=error.message)
                lost = True
            else:
                if lost:
                    _log.info("changes of keys are seen again")
                lost = False
            await self._sleep(POLL_SECONDS)
