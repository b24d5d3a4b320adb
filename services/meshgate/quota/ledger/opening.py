"""Opens the ledger for as long as a service lives."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from meshgate.database.database import Database
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.counter_store import CounterStore
from meshgate.quota.ledger.hours import Hours
from meshgate.quota.ledger.keeper import Keeper
from meshgate.quota.ledger.noted_ledger import NotedLedger
from meshgate.quota.ledger.noting import NotedCounters
from meshgate.quota.ledger.schema import SCHEMA
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_reports import SqlReports
from meshgate.quota.ledger.usage_stream import UsageStream, new_consumer
from meshgate.quota.redis_nodes import RedisNodes


@asynccontextmanager
async def opened_ledger(
    database_url: str, nodes: RedisNodes, wait_seconds: float
) -> AsyncIterator[Keeper]:
    """Who keeps the ledger, for as long as the block lasts. The database may be away.

    Raises:
        DatabaseUnusableError: The URL is none.
    """
    database = Database(SCHEMA, database_url, wait_seconds=wait_seconds)
    try:
        notes = NotedCounters(CheckedDatabase(database), CounterStore(nodes))
        ledger = NotedLedger(SqlLedger(database), notes)
        yield Keeper(UsageStream(nodes, new_consumer()), ledger)
    finally:
        await database.close()


@dataclass(frozen=True)
class OpenedReports:
    """What answers from the ledger.

    Attributes:
        reports: Answers.
        sum_up: Keeps what makes answers fast, without end.
    """

    reports: SqlReports
    sum_up: Callable[[], Awaitable[None]]


@asynccontextmanager
async def opened_reports(database_url: str, wait_seconds: float) -> AsyncIterator[OpenedReports]:
    """Who answers what the ledger is asked, for as long as the block lasts.

    With connections of its own: who reads much keeps nobody from writing. Raises as
    `opened_ledger`.
    """
    database = Database(SCHEMA, database_url, wait_seconds=wait_seconds)
    try:
        reports, hours = SqlReports(database), Hours(database)
        yield OpenedReports(reports, lambda: hours.keep(reports.check))
    finally:
        await database.close()
