"""Opens those who compare counters with the ledger, and make them again from it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from meshgate.database.database import Database
from meshgate.quota.ledger.books import LedgerBooks
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.counter_store import CounterStore
from meshgate.quota.ledger.noting import NotedCounters
from meshgate.quota.ledger.rebuilding import Rebuilding
from meshgate.quota.ledger.reconciliation import Comparison, Reconciliation
from meshgate.quota.ledger.recovery import Recovery
from meshgate.quota.ledger.schema import SCHEMA
from meshgate.quota.redis_nodes import RedisNodes


class Audit(Struct, frozen=True):
    """All of them.

    Attributes:
        reconciliation: Names counters that do not hold what the books say.
        rebuilding: Makes counters again.
        recovery: Does so by itself where the store was emptied.
        noted: Which counters there are.
    """

    reconciliation: Reconciliation
    rebuilding: Rebuilding
    recovery: Recovery
    noted: NotedCounters


@asynccontextmanager
async def opened_audit(
    database_url: str, nodes: RedisNodes, wait_seconds: float
) -> AsyncIterator[Audit]:
    """For as long as the block lasts. The database may be away.

    Raises:
        DatabaseUnusableError: The URL is none.
    """
    database = Database(SCHEMA, database_url, wait_seconds=wait_seconds)
    checked = CheckedDatabase(database)
    store = CounterStore(nodes)
    noted, books = NotedCounters(checked, store), LedgerBooks(checked)
    comparison = Comparison(store, books)
    rebuilding = Rebuilding(noted, store, comparison)
    try:
        yield Audit(
            Reconciliation(noted, comparison, books),
            rebuilding,
            Recovery(store, rebuilding),
            noted,
        )
    finally:
        await database.close()
