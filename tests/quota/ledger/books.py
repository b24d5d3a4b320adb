"""Books for the tests of what goes through them, and how they are looked at."""

from typing import Any

from quota.ledger.usage import adjusted, charge, entries, record, rows, told
from sqlalchemy import Table, delete, insert
from sqlalchemy.sql import Executable

from meshgate.database.database import Database
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.findings import Fault
from meshgate.quota.ledger.schema import METADATA
from meshgate.quota.ledger.sql_books import SqlBooks
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.verification import Verified, Verifier


async def some_books(database: Database) -> None:
    """Eight entries in two shards, with one, two and no lines, of every kind."""
    bob = {"user_id": "bob", "key_id": "k2"}
    ledger = SqlLedger(database)
    await ledger.append(
        entries(
            told(1, record("h1", charge())),
            told(2, record("h2", charge(30, estimated=True), charge(None), tags={"app": "x"})),
            told(3, record("h3", **bob), kind=b"late"),
            told(4, record("h4", charge(), **bob), kind=b"unheld"),
            adjusted(5, subjects=["key/k2", "organization/acme"]),
        )
    )
    await ledger.append(
        entries(
            told(6, record("h6", charge(), **bob), shard=5),
            adjusted(7, b"returned", shard=5, partition=b"everyone", subjects=["everyone"]),
            told(8, shard=5, kind=b"nobody knows"),
        )
    )


async def tamper(database: Database, change: Executable) -> None:
    """Change something behind the ledger's back."""
    async with database.writing() as connection:
        changed = await connection.execute(change)
        assert changed.rowcount, "nothing was changed"


class Restoring:
    """Books that are changed again and again, each time from how they were.

    Making a database for each change takes much longer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._before: dict[Table, list[dict[str, Any]]] = {}

    async def begin(self) -> None:
        await some_books(self._database)
        self._before = {
            table: await rows(self._database, table) for table in METADATA.sorted_tables
        }

    async def faults_of(self, change: Executable) -> list[Fault]:
        """What is wrong once something was changed; it is put right afterwards."""
        await tamper(self._database, change)
        faults = (await verify_all(self._database)).faults
        async with self._database.writing() as connection:
            for table, before in self._before.items():
                await connection.execute(delete(table))
                if before:
                    await connection.execute(insert(table), before)
        return list(faults)


async def verify_all(database: Database) -> Verified:
    """All in one page."""
    (page,) = await all_pages(database)
    return page


async def all_pages(database: Database, size: int = 0) -> list[Verified]:
    verifier = Verifier(SqlBooks(CheckedDatabase(database)), lambda: 0.0)
    pages = [await verifier.verify("", size)]
    while pages[-1].next_page_token:
        pages.append(await verifier.verify(pages[-1].next_page_token, size))
    return pages
