"""Sums the lines up by the hour, behind those who write them.

Whoever writes the ledger knows nothing of it. How far it has come is in the same transaction as the
sums; whoever takes lines away, because of their age or on demand, takes them out of the sums in the
same transaction too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog
from msgspec import Struct
from sqlalchemy import BigInteger, ColumnElement, and_, cast, delete, func, or_, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.database.database import Database
from meshgate.quota.ledger.schema import (
    COUNT_COLUMNS,
    HOURS,
    LABEL_COLUMNS,
    LINES,
    SUMMED,
)
from meshgate.quota.ledger.stretches import Ends, heads, starts
from meshgate.runtime.errors import ServiceUnavailableError

HOUR = 3_600_000_000
_MOST_ENTRIES = 20_000
_EVERY_SECONDS = 30.0
# Between two transactions those who append have their turn.
_PAUSE_SECONDS = 0.5
# Any number that nobody else uses: whoever changes sums holds this lock of PostgreSQL.
_LOCK = 0x6C686F75
# How they are made. Sums that were made in another way are made anew.
_MARK = "2"
_COUNTED = (*COUNT_COLUMNS, "lines")

_log = structlog.get_logger("meshgate.quota")


class Summed(Struct, frozen=True):
    """Up to which entry of each shard lines are summed up.

    Attributes:
        sequences: By the shard.
        is_valid: Whether the sums were made as this version makes them.
    """

    sequences: Mapping[int, int]
    is_valid: bool


async def read_summed(connection: AsyncConnection) -> Summed:
    """How far it has come, as the transaction sees it."""
    rows = (await connection.execute(select(SUMMED))).all()
    return Summed({row.shard: row.sequence for row in rows}, all(row.mark == _MARK for row in rows))


async def lock_sums(connection: AsyncConnection) -> None:
    """Keep all others from changing sums, or taking away lines, until the transaction ends.

    Of all locks but those of heads and months it is the first to be taken, so that nobody waits in
    a circle. SQLite has locked everything.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def drop_lines(
    connection: AsyncConnection,
    shard: int,
    which: ColumnElement[bool],
    booked_times: Iterable[int],
) -> None:
    """Delete lines, and take them out of the sums. Whoever calls holds `lock_sums`.

    Args:
        connection: The transaction.
        shard: Whose lines.
        which: Which of them.
        booked_times: Of all these lines.
    """
    times = set(booked_times)
    # The times, so that only the months in question are looked at.
    dropped = and_(
        LINES.c.shard == shard, which, LINES.c.booked_time.between(min(times), max(times))
    )
    summed = await read_summed(connection)
    if summed.is_valid and shard in summed.sequences:
        await _add(connection, dropped & (LINES.c.sequence <= summed.sequences[shard]), sign=-1)
        touched = HOURS.c.booked_time.in_(sorted({moment - moment % HOUR for moment in times}))
        # Sums of no lines are no rows of reports, not even of zeros.
        await connection.execute(delete(HOURS).where(touched, HOURS.c.lines <= 0))
    await connection.execute(delete(LINES).where(dropped))


async def drop_hours(connection: AsyncConnection, begin: int, end: int) -> None:
    """Drop the sums of all lines of some full hours. Whoever calls holds `lock_sums`."""
    hour = HOURS.c.booked_time
    await connection.execute(delete(HOURS).where(hour >= begin, hour < end))


class Hours:
    """Keeps the sums.

    Args:
        database: Of the ledger.
        most_entries: About how many a transaction sums up.
    """

    def __init__(self, database: Database, most_entries: int = _MOST_ENTRIES) -> None:
        self._database = database
        self._most_entries = most_entries

    async def advance(self) -> bool:
        """Sum some more up; whether there is more still. Several may do it at the same time.

        Raises:
            ServiceUnavailableError: The database cannot be reached, or is locked.
        """
        async with self._database.writing() as connection:
            await lock_sums(connection)
            summed = await read_summed(connection)
            if not summed.is_valid:
                await connection.execute(delete(HOURS))
                await connection.execute(delete(SUMMED))
                summed = Summed({}, is_valid=True)
            stretches, is_all = await self._stretches(connection, summed.sequences)
            if stretches:
                await _add(connection, _is_within(stretches))
                await _move(connection, stretches)
        return not is_all

    async def keep(
        self,
        check: Callable[[], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Sum up what comes, without end.

        Args:
            check: Raises ServiceUnavailableError while the database is none of this version.
            sleep: Waits.
        """
        is_away = False
        while True:
            is_more = False
            try:
                await check()
                is_more = await self.advance()
                is_away = False
            except ServiceUnavailableError as error:
                if not is_away:
                    _log.warning("usage is not summed up by the hour", reason=error.message)
                is_away = True
            await sleep(_PAUSE_SECONDS if is_more else _EVERY_SECONDS)

    async def _stretches(
        self, connection: AsyncConnection, sequences: Ends
    ) -> tuple[Mapping[int, tuple[int, int]], bool]:
        """After which entry of each shard to begin, and with which to end; whether that is all."""
        dropped = await starts(connection)
        left = self._most_entries
        found: dict[int, tuple[int, int]] = {}
        for shard, head in sorted((await heads(connection)).items()):
            begin = max(sequences.get(shard, 0), dropped.get(shard, 0))
            if head <= begin:
                continue
            if left <= 0:
                return found, False
            end = min(head, begin + left)
            found[shard] = (begin, end)
            left -= end - begin
            if end < head:
                return found, False
        return found, True


async def _add(connection: AsyncConnection, which: ColumnElement[bool], sign: int = 1) -> None:
    """Add lines to the sums, or take them out."""
    insert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(HOURS)
    hour = (LINES.c.booked_time - LINES.c.booked_time % HOUR).label("hour")
    labels = [LINES.c[name] for name in LABEL_COLUMNS]
    sums = [*(func.sum(LINES.c[name]) for name in COUNT_COLUMNS), func.count()]
    counted = [cast(sign * total, BigInteger) for total in sums]
    found = select(hour, *labels, *counted).where(which).group_by(text("1"), *labels)
    names = ("booked_time", *LABEL_COLUMNS, *_COUNTED)
    adding = insert.from_select(names, found)
    await connection.execute(
        adding.on_conflict_do_update(
            index_elements=["booked_time", *LABEL_COLUMNS],
            set_={name: HOURS.c[name] + adding.excluded[name] for name in _COUNTED},
        )
    )


def _is_within(stretches: Mapping[int, tuple[int, int]]) -> ColumnElement[bool]:
    return or_(
        *(
            (LINES.c.shard == shard) & (LINES.c.sequence > begin) & (LINES.c.sequence <= end)
            for shard, (begin, end) in stretches.items()
        )
    )


async def _move(connection: AsyncConnection, stretches: Mapping[int, tuple[int, int]]) -> None:
    insert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(SUMMED)
    rows = [
        {"shard": shard, "sequence": end, "mark": _MARK} for shard, (_, end) in stretches.items()
    ]
    moving = insert.on_conflict_do_update(
        index_elements=["shard"],
        set_={"sequence": insert.excluded.sequence, "mark": insert.excluded.mark},
    )
    await connection.execute(moving, rows)
