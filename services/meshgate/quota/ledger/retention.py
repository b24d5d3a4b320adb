"""Drops what is older than the ledger shall be.

Always the beginning of a chain, so that what is left can be verified from there: an entry stays for
as long as any before it in its chain does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from meshgate.quota.ledger import observation
from meshgate.runtime.errors import GatewayError

_log = structlog.get_logger("meshgate.quota.ledger")

_EVERY_SECONDS = 600.0
_MICROSECONDS = 1_000_000


class AgingBooks(Protocol):
    """What there is to be dropped."""

    async def drop_before(self, booked_time: int, dropped: Callable[[int], None]) -> None:
        """Drop what was booked before a moment, in bounded transactions.

        Args:
            booked_time: In microseconds.
            dropped: Is told after each transaction how many entries are gone.

        Raises:
            ServiceUnavailableError: The database does not answer. What is dropped by then stays so.
        """
        ...


class Retention:
    """Looks now and then.

    Args:
        books: What ages.
        seconds: How old it may become.
        now: The time in seconds.
        sleep: Waits for so many seconds. Tests give it.
    """

    def __init__(
        self,
        books: AgingBooks,
        seconds: float,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._books = books
        self._seconds = seconds
        self._now = now
        self._sleep = sleep

    async def keep(self) -> None:
        """Without end."""
        while True:
            await self.drop_once()
            await self._sleep(_EVERY_SECONDS)

    async def drop_once(self) -> None:
        """Drop what is too old by now; what fails is tried again the next time."""
        before = round((self._now() - self._seconds) * _MICROSECONDS)
        try:
            await self._books.drop_before(before, observation.dropped)
        except GatewayError as error:
            _log.warning("old entries of the ledger cannot be dropped", reason=error.message)
