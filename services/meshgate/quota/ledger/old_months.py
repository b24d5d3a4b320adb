"""Dropping a month of a PostgreSQL as a whole."""

import re
from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import delete, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.chain_starts import begin_after, give_start, start_of
from meshgate.quota.ledger.findings import Link
from meshgate.quota.ledger.hours import drop_hours, drop_lines, lock_sums
from meshgate.quota.ledger.months import MONTHS_LOCK, Month, bounds_of, partition_of
from meshgate.quota.ledger.schema import ENTRIES, IDS, LINES
from meshgate.quota.ledger.stretches import heads

_PARTITION = re.compile(rf"{ENTRIES.name}_(\d{{4}})_(\d\d)")
_MOST_AMONG = 1_000


class _Doomed(Struct, frozen=True):
    """What goes of a chain with a month: up to its last entry of that month.

    Attributes:
        shard: The chain.
        last: That entry.
        count: How many go.
        among: Id, sequence and booked time of those of other months that lie among them.
    """

    shard: int
    last: Link
    count: int
    among: Sequence[tuple[str, int, int]]


async def old_months(connection: AsyncConnection, booked_time: int) -> Sequence[Month]:
    """The months that ended before a moment, oldest first."""
    query = text(
        "SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid"
        " WHERE inhparent = CAST(:parent AS regclass)"
    )
    names = (await connection.execute(query, {"parent": ENTRIES.name})).scalars()
    found = [match for name in names if (match := _PARTITION.fullmatch(name))]
    months = sorted((int(match[1]), int(match[2])) for match in found)
    return [month for month in months if bounds_of(month)[1] <= booked_time]


async def drop_month(connection: AsyncConnection, month: Month, booked_time: int) -> int | None:
    """Drop a month.

    Returns:
        How many entries are gone; None, and nothing is, where entries that must stay lie among
        them, or many of other months.
    """
    begin, end = bounds_of(month)
    await _lock(connection)
    doomed: list[_Doomed] = []
    for shard in await heads(connection):
        await give_start(connection, shard)
        last = await _last(connection, shard, month)
        if last is None:
            continue
        start = await start_of(connection, shard)
        among = await _among(connection, shard, last.sequence, (begin, end))
        if len(among) > _MOST_AMONG or any(time >= booked_time for *_, time in among):
            return None
        doomed.append(_Doomed(shard, last, last.sequence - start.sequence, among))
    for chain in doomed:
        await _drop_among(connection, chain)
        await begin_after(connection, chain.shard, chain.last)
    await drop_hours(connection, begin, end)
    for table in (ENTRIES.name, LINES.name):
        await connection.execute(text(f"DROP TABLE IF EXISTS {partition_of(table, month)}"))
    return sum(chain.count for chain in doomed)


async def _lock(connection: AsyncConnection) -> None:
    """Keep all others out, but let none wait long: if it does not go at once, it may go later."""
    await connection.execute(text("SET LOCAL lock_timeout = '500ms'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MONTHS_LOCK})
    await lock_sums(connection)
    both = f"ONLY {ENTRIES.name}, ONLY {LINES.name}"
    await connection.execute(text(f"LOCK TABLE {both} IN ACCESS EXCLUSIVE MODE"))


async def _last(connection: AsyncConnection, shard: int, month: Month) -> Link | None:
    begin, end = bounds_of(month)
    query = select(ENTRIES.c.sequence, ENTRIES.c.chain).where(
        ENTRIES.c.shard == shard, ENTRIES.c.booked_time >= begin, ENTRIES.c.booked_time < end
    )
    query = query.order_by(ENTRIES.c.sequence.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Link(row.sequence, row.chain)


async def _among(
    connection: AsyncConnection, shard: int, last: int, bounds: tuple[int, int]
) -> Sequence[tuple[str, int, int]]:
    """Id, sequence and time of entries before the last that belong to other months.

    To earlier ones too: one may stay, and be made again by what was booked late.
    """
    begin, end = bounds
    is_other = or_(ENTRIES.c.booked_time >= end, ENTRIES.c.booked_time < begin)
    query = select(ENTRIES.c.entry_id, ENTRIES.c.sequence, ENTRIES.c.booked_time).where(
        ENTRIES.c.shard == shard, ENTRIES.c.sequence < last, is_other
    )
    rows = await connection.execute(query.order_by(ENTRIES.c.sequence).limit(_MOST_AMONG + 1))
    return [(row.entry_id, row.sequence, row.booked_time) for row in rows]


async def _drop_among(connection: AsyncConnection, chain: _Doomed) -> None:
    if not chain.among:
        return
    ids, sequences, times = zip(*chain.among, strict=True)
    await connection.execute(delete(IDS).where(IDS.c.entry_id.in_(ids)))
    await connection.execute(
        delete(ENTRIES).where(
            ENTRIES.c.shard == chain.shard,
            ENTRIES.c.sequence.in_(sequences),
            # So that only the months in question are looked at.
            ENTRIES.c.booked_time.between(min(times), max(times)),
        )
    )
    await drop_lines(connection, chain.shard, LINES.c.sequence.in_(sequences), times)
