"""Opens the database of auth for as long as a service lives."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from meshgate.auth.credentials import Peppers, random_id
from meshgate.auth.directory import Directory
from meshgate.auth.feed import ChangeReader
from meshgate.auth.sql.change_log import ChangeLog
from meshgate.auth.sql.collection import Tools
from meshgate.auth.sql.directory import SqlDirectory
from meshgate.auth.sql.lookup import SqlLookup
from meshgate.auth.sql.schema import SCHEMA
from meshgate.database.database import Database


@dataclass(frozen=True, slots=True)
class Opened:
    """What is in the database.

    Attributes:
        directory: The records.
        lookup: What finding principals reads: a `KeyLookup` and a `ScopeSource`.
        reader: What changes, by whichever process.
    """

    directory: Directory
    lookup: SqlLookup
    reader: ChangeReader


@asynccontextmanager
async def opened(
    database_url: str,
    peppers: Peppers,
    now: Callable[[], datetime],
    *,
    wait_seconds: float = 1.0,
) -> AsyncIterator[Opened]:
    """The database, for as long as the block lasts. Each transaction may take so long.

    Raises:
        DatabaseUnusableError: It cannot be reached, or has another schema than this version needs.
    """
    database = Database(SCHEMA, database_url, wait_seconds=wait_seconds)
    try:
        await database.check()
        log = ChangeLog(database)
        tools = Tools(database, log, peppers, now, random_id)
        yield Opened(SqlDirectory(tools), SqlLookup(database), log)
    finally:
        await database.close()
