"""Waiting for a condition without sleeping."""

import asyncio
from collections.abc import Callable

WAIT_SECONDS = 10.0


class Notice:
    """Wakes those who wait for a condition whenever something has changed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Something has changed."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition()` holds.

        Raises:
            TimeoutError: It did not within WAIT_SECONDS.
        """
        async with asyncio.timeout(WAIT_SECONDS):
            await self.whenever(condition)

    async def whenever(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition()` holds, for as long as it takes."""
        while not condition():
            await self._event.wait()
