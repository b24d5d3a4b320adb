"""What is done with the ledger besides writing it and reporting from it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from meshgate.database.database import Database
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.erasing import Erasing
from meshgate.quota.ledger.retention import Retention
from meshgate.quota.ledger.schema import SCHEMA
from meshgate.quota.ledger.sql_books import SqlBooks
from meshgate.quota.ledger.sql_eraser import SqlEraser
from meshgate.quota.ledger.sql_retention import SqlAgingBooks
from meshgate.quota.ledger.verification import Verification, Verifier


class Upkeep(Struct, frozen=True):
    """All of it.

    Attributes:
        verification: Looks for tampering.
        erasing: Erases on demand.
        retention: Drops what is old; None where everything stays.
    """

    verification: Verification
    erasing: Erasing
    retention: Retention | None


@asynccontextmanager
async def opened_upkeep(
    database_url: str, wait_seconds: float, retention_seconds: float | None
) -> AsyncIterator[Upkeep]:
    """For as long as the block lasts. The database may be away.

    Raises:
        DatabaseUnusableError: The URL is none.
    """
    database = Database(SCHEMA, database_url, wait_seconds=wait_seconds)
    checked = CheckedDatabase(database)
    retention = None
    if retention_seconds is not None:
        retention = Retention(SqlAgingBooks(checked), retention_seconds)
    try:
        yield Upkeep(Verifier(SqlBooks(checked)), SqlEraser(checked), retention)
    finally:
        await database.close()
