"""The months that a PostgreSQL keeps entries and lines in, each a partition of its own."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.database.database import Database
from meshgate.quota.ledger.schema import ENTRIES, LINES

_MICROSECONDS = 1_000_000
MONTHS_LOCK = 0x6D6F6E74
"""Any number that nobody else uses: whoever makes or drops a month holds this lock."""

Month = tuple[int, int]
"""Year and month, in UTC."""


def month_of(booked_time: int) -> Month:
    """The month of a moment in microseconds."""
    moment = datetime.fromtimestamp(booked_time // _MICROSECONDS, UTC)
    return moment.year, moment.month


def bounds_of(month: Month) -> tuple[int, int]:
    """When a month begins, and when the next one does, in microseconds."""
    year, number = month
    return _beginning(year, number), _beginning(year + number // 12, number % 12 + 1)


def partition_of(table: str, month: Month) -> str:
    """What the partition of a month is called."""
    return f"{table}_{month[0]:04d}_{month[1]:02d}"


class Months:
    """Makes the months that are needed. SQLite needs none."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made: set[Month] = set()

    def forget(self) -> None:
        """Look again: somebody may have dropped some."""
        self._made.clear()

    async def make(self, booked_times: Iterable[int]) -> None:
        """Make the months of some moments, unless they are there. Raises as `Database.writing`."""
        if self._database.file is not None:
            return
        missing = sorted({month_of(moment) for moment in booked_times} - self._made)
        if not missing:
            return
        async with self._database.writing() as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MONTHS_LOCK}
            )
            for month in missing:
                for table in (ENTRIES.name, LINES.name):
                    name = partition_of(table, month)
                    found = await connection.scalar(text("SELECT to_regclass(:n)"), {"n": name})
                    if found is None:
                        await _attach(connection, table, name, bounds_of(month))
        self._made |= set(missing)


async def _attach(
    connection: AsyncConnection, table: str, name: str, bounds: tuple[int, int]
) -> None:
    # Made first and attached then, since that does not make those wait who read.
    await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
    await connection.execute(
        text(
            f"ALTER TABLE {table} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ({bounds[0]}) TO ({bounds[1]})"
        )
    )


def _beginning(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * _MICROSECONDS
