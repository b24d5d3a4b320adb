"""The ledger's database, which may come up, or be migrated, after this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.database.database import Database, DatabaseUnusableError
from meshgate.runtime.errors import ServiceUnavailableError


class CheckedDatabase:
    """Transactions on a database that may have come up, or been migrated, after this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_checked = False

    @property
    def is_postgres(self) -> bool:
        return self._database.file is None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """As `Database.reading`; also raises ServiceUnavailableError where tables are missing."""
        await self.check()
        async with self._database.reading() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """As `Database.writing`, likewise."""
        await self.check()
        async with self._database.writing() as connection:
            yield connection

    async def check(self) -> None:
        """Look, until it is so once, whether the database can be used.

        Raises:
            ServiceUnavailableError: It cannot be used yet.
        """
        if self._is_checked:
            return
        try:
            await self._database.check()
        except DatabaseUnusableError as error:
            raise ServiceUnavailableError(str(error), retry_after_seconds=1) from None
        self._is_checked = True
