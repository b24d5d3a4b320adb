"""Databases of the ledger in which something happens between transactions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.database.database import Database
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.runtime.errors import ServiceUnavailableError


class BreakingDatabase(CheckedDatabase):
    """One that breaks down in a certain transaction, after what that was to do and before its end."""

    def __init__(self, database: Database, breaks_at: int) -> None:
        super().__init__(database)
        self._left = breaks_at

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        async with super().writing() as connection:
            yield connection
            self._left -= 1
            if self._left == 0:
                raise ServiceUnavailableError("broken down")


class InterruptedDatabase(CheckedDatabase):
    """One in which something else is done before a certain transaction that writes."""

    def __init__(
        self, database: Database, before: int, interrupt: Callable[[], Awaitable[object]]
    ) -> None:
        super().__init__(database)
        self._left = before
        self._interrupt = interrupt

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        self._left -= 1
        if self._left == 0:
            await self._interrupt()
        async with super().writing() as connection:
            yield connection


class WatchedDatabase(CheckedDatabase):
    """One that is looked at after each transaction that writes."""

    def __init__(self, database: Database, look: Callable[[], Awaitable[object]]) -> None:
        super().__init__(database)
        self._look = look
        self.transactions = 0

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        async with super().writing() as connection:
            yield connection
        self.transactions += 1
        await self._look()
