"""Dropping what is old from SQLite or PostgreSQL: a run of entries at a time.

On PostgreSQL a month is dropped as a whole where nothing that must stay lies among it.
"""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import structlog
from sqlalchemy import and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.chain_starts import begin_after, give_start, start_of
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.findings import Link
from meshgate.quota.ledger.hours import drop_lines, lock_sums
from meshgate.quota.ledger.old_months import drop_month, old_months
from meshgate.quota.ledger.schema import ENTRIES, IDS, LINES, STARTS
from meshgate.quota.ledger.stretches import heads, starts
from meshgate.runtime.errors import ServiceUnavailableError

_log = structlog.get_logger("meshgate.quota.ledger")

# So few at a time that whoever waits for a hold in the same process does not notice.
_A_RUN = 250


class SqlAgingBooks:
    """The `AgingBooks` of a database. Several processes may drop at the same time."""

    def __init__(self, database: CheckedDatabase) -> None:
        self._database = database

    async def drop_before(self, booked_time: int, dropped: Callable[[int], None]) -> None:
        await self._drop_months(booked_time, dropped)
        async with self._database.reading() as connection:
            begin, end = await starts(connection), await heads(connection)
        for shard in sorted(shard for shard in end if end[shard] > begin.get(shard, 0)):
            while count := await self._drop_run(shard, booked_time):
                dropped(count)
        while await self._drop_ids(booked_time):
            pass
        # Those that are empty by now.
        await self._drop_months(booked_time, dropped)

    async def _drop_months(self, booked_time: int, dropped: Callable[[int], None]) -> None:
        if not self._database.is_postgres:
            return
        async with self._database.reading() as connection:
            months = await old_months(connection, booked_time)
        for month in months:
            try:
                async with self._database.writing() as connection:
                    count = await drop_month(connection, month, booked_time)
            except ServiceUnavailableError as error:
                # Somebody reads. It will go later, or entry by entry.
                _log.info("a month cannot be dropped as a whole now", reason=error.message)
                return
            if count is not None:
                dropped(count)

    async def _drop_run(self, shard: int, booked_time: int) -> int:
        """Drop the next of a chain that are old; how many."""
        async with self._database.reading() as connection:
            if not await _old_run(connection, shard, booked_time, 1):
                return 0
        async with self._database.writing() as connection:
            await lock_sums(connection)
            await give_start(connection, shard)
            await start_of(connection, shard)
            run = await _old_run(connection, shard, booked_time, _A_RUN)
            if run:
                await _drop(connection, shard, run)
                await begin_after(connection, shard, Link(run[-1].sequence, run[-1].chain))
        return len(run)

    async def _drop_ids(self, booked_time: int) -> int:
        """Drop ids of which the entries are gone, as after a month; how many."""
        dropped = select(IDS.c.entry_id).join(
            STARTS, and_(STARTS.c.shard == IDS.c.shard, STARTS.c.sequence >= IDS.c.sequence)
        )
        some = dropped.where(IDS.c.booked_time < booked_time).limit(_A_RUN)
        async with self._database.writing() as connection:
            done = await connection.execute(delete(IDS).where(IDS.c.entry_id.in_(some)))
        return done.rowcount


async def _old_run(
    connection: AsyncConnection, shard: int, booked_time: int, count: int
) -> Sequence[Any]:
    """The first entries of a chain, as long as they are old."""
    query = (
        select(ENTRIES.c.sequence, ENTRIES.c.booked_time, ENTRIES.c.entry_id, ENTRIES.c.chain)
        .where(ENTRIES.c.shard == shard)
        .order_by(ENTRIES.c.sequence)
        .limit(count)
    )
    rows = await connection.execute(query)
    return list(takewhile(lambda row: row.booked_time < booked_time, rows.all()))


async def _drop(connection: AsyncConnection, shard: int, run: Sequence[Any]) -> None:
    await connection.execute(delete(IDS).where(IDS.c.entry_id.in_([row.entry_id for row in run])))
    times = [row.booked_time for row in run]
    await connection.execute(
        delete(ENTRIES).where(
            ENTRIES.c.shard == shard,
            ENTRIES.c.sequence <= run[-1].sequence,
            # So that only the months in question are looked at.
            ENTRIES.c.booked_time.between(min(times), max(times)),
        )
    )
    await drop_lines(connection, shard, LINES.c.sequence <= run[-1].sequence, times)
