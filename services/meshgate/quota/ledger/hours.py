"""Sums the lines up by the hour, behind those who write them.

Whoever writes the ledger knows nothing of it. How far it has come is in the same transaction as the
sums; what is erased or dropped changes a mark, and then the sums are made anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from msgspec import Struct
from sqlalchemy import BigInteger, ColumnElement, cast, delete, func, or_, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.database.database import Database
from meshgate.quota.ledger.schema import (
    COUNT_COLUMNS,
    ERASURES,
    HEADS,
    HOURS,
    LABEL_COLUMNS,
    LINES,
    STARTS,
    SUMMED,
)
from meshgate.runtime.errors import ServiceUnavailableError

HOUR = 3_600_000_000
_MOST_ENTRIES = 20_000
_EVERY_SECONDS = 30.0
# Between two transactions those who append have their turn.
_PAUSE_SECONDS = 0.5
# Any number that nobody else uses: whoever sums up holds this lock of PostgreSQL.
_LOCK = 0x6C686F75

_log = structlog.get_logger("meshgate.quota")


class Summed(Struct, frozen=True):
    """Up to which entry of each shard lines are summed up.

    Attributes:
        sequences: By the shard.
        is_valid: Whether nothing that is in the sums was erased or dropped since.
    """

    sequences: Mapping[int, int]
    is_valid: bool


async def read_summed(connection: AsyncConnection) -> Summed:
    """How far it has come, as the transaction sees it."""
    mark = await _mark(connection)
    rows = (await connection.execute(select(SUMMED))).all()
    return Summed({row.shard: row.sequence for row in rows}, all(row.mark == mark for row in rows))


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
            if connection.dialect.name == "postgresql":
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK}
                )
            mark = await _mark(connection)
            summed = await read_summed(connection)
            if not summed.is_valid:
                await connection.execute(delete(HOURS))
                await connection.execute(delete(SUMMED))
                summed = Summed({}, is_valid=True)
            stretches, is_all = await self._stretches(connection, summed.sequences)
            if stretches:
                await _add(connection, stretches)
                await _move(connection, stretches, mark)
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
        self, connection: AsyncConnection, sequences: Mapping[int, int]
    ) -> tuple[Mapping[int, tuple[int, int]], bool]:
        """After which entry of each shard to begin, and with which to end; whether that is all."""
        heads = (await connection.execute(select(HEADS.c.shard, HEADS.c.sequence))).all()
        left = self._most_entries
        found: dict[int, tuple[int, int]] = {}
        for shard, head in heads:
            begin = sequences.get(shard, 0)
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


async def _mark(connection: AsyncConnection) -> str:
    """Changes whenever something is erased or dropped."""
    erased = select(
        func.coalesce(func.max(ERASURES.c.erasure_id), 0),
        func.coalesce(func.sum(ERASURES.c.entries), 0),
    )
    dropped = select(func.coalesce(func.sum(STARTS.c.sequence), 0))
    erasures, entries = (await connection.execute(erased)).one()
    return f"{erasures}/{int(entries)}/{int(await connection.scalar(dropped) or 0)}"


async def _add(connection: AsyncConnection, stretches: Mapping[int, tuple[int, int]]) -> None:
    insert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(HOURS)
    hour = (LINES.c.booked_time - LINES.c.booked_time % HOUR).label("hour")
    labels = [LINES.c[name] for name in LABEL_COLUMNS]
    sums = [cast(func.sum(LINES.c[name]), BigInteger) for name in COUNT_COLUMNS]
    found = select(hour, *labels, *sums).where(_is_within(stretches)).group_by(text("1"), *labels)
    names = ("booked_time", *LABEL_COLUMNS, *COUNT_COLUMNS)
    adding = insert.from_select(names, found)
    await connection.execute(
        adding.on_conflict_do_update(
            index_elements=["booked_time", *LABEL_COLUMNS],
            set_={name: HOURS.c[name] + adding.excluded[name] for name in COUNT_COLUMNS},
        )
    )


def _is_within(stretches: Mapping[int, tuple[int, int]]) -> ColumnElement[bool]:
    return or_(
        *(
            (LINES.c.shard == shard) & (LINES.c.sequence > begin) & (LINES.c.sequence <= end)
            for shard, (begin, end) in stretches.items()
        )
    )


async def _move(
    connection: AsyncConnection, stretches: Mapping[int, tuple[int, int]], mark: str
) -> None:
    insert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(SUMMED)
    rows = [
        {"shard": shard, "sequence": end, "mark": mark} for shard, (_, end) in stretches.items()
    ]
    moving = insert.on_conflict_do_update(
        index_elements=["shard"],
        set_={"sequence": insert.excluded.sequence, "mark": insert.excluded.mark},
    )
    await connection.execute(moving, rows)
