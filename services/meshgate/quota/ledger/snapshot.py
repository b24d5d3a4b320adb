"""One state of the ledger, seen as a whole."""

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection


async def keep_months(connection: AsyncConnection, *tables: Table) -> None:
    """Keep months of PostgreSQL until the transaction ends; before it has seen anything.

    A month that is dropped is gone for everybody at once, whatever state a transaction sees: one that
    is dropped meanwhile would be half gone.
    """
    if connection.dialect.name == "postgresql":
        names = ", ".join(table.name for table in tables)
        await connection.execute(text(f"LOCK TABLE {names} IN ACCESS SHARE MODE"))
