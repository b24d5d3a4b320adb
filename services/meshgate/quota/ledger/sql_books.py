"""What a SQLite or PostgreSQL holds of the ledger, for whoever verifies it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, Table, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.findings import (
    NO_NAME,
    ComparedHours,
    Link,
    Part,
    StoredEntry,
    StoredLine,
)
from meshgate.quota.ledger.kept_links import Passage
from meshgate.quota.ledger.labels import Kind
from meshgate.quota.ledger.lines import Line
from meshgate.quota.ledger.schema import (
    ENTRIES,
    ERASURES,
    HEADS,
    IDS,
    LABELS,
    LINES,
    NO_LABEL,
    STARTS,
)
from meshgate.quota.ledger.snapshot import keep_months
from meshgate.quota.ledger.sql_hours import compare_hours
from meshgate.quota.ledger.verification import StoredId

_LABELLED = {kind.name.lower(): kind for kind in Kind}
_ENTRY_COLUMNS = [ENTRIES.c[name] for name in StoredEntry.__struct_fields__]
_MOST_A_QUERY = 5_000


class SqlBooks:
    """The `StoredBooks` of a database."""

    def __init__(self, database: CheckedDatabase) -> None:
        self._database = database

    async def next_shard(self, after: int | None) -> int | None:
        async with self._database.reading() as connection:
            found = [
                await connection.scalar(_next_shard(table, after))
                for table in (ENTRIES, LINES, HEADS, STARTS)
            ]
        return min((shard for shard in found if shard is not None), default=None)

    async def part(self, shard: int, after: int | None, count: int) -> Part:
        async with self._database.reading() as connection:
            await keep_months(connection, ENTRIES, LINES)
            entries, is_last = await _entries(connection, shard, after, count)
            last = None if is_last else entries[-1].sequence
            return Part(
                shard=shard,
                start=await _link(connection, STARTS, shard) or Link(),
                head=await _link(connection, HEADS, shard),
                entries=entries,
                lines=await _lines(connection, shard, after, last),
                places=await _places(connection, [entry.entry_id for entry in entries]),
                is_last=is_last,
            )

    async def passage(self, shard: int, sequence: int) -> Passage:
        query = select(ENTRIES.c.chain).where(
            (ENTRIES.c.shard == shard) & (ENTRIES.c.sequence == sequence)
        )
        async with self._database.reading() as connection:
            start = await _link(connection, STARTS, shard) or Link()
            head = await _link(connection, HEADS, shard) or Link()
            chain = await connection.scalar(query.limit(1))
        return Passage(start, head.sequence, chain)

    async def ids(self, after: str, count: int) -> Sequence[StoredId]:
        same = and_(
            *(ENTRIES.c[name] == IDS.c[name] for name in ("shard", "sequence", "booked_time")),
            ENTRIES.c.entry_id == IDS.c.entry_id,
        )
        some = select(IDS).where(IDS.c.entry_id > after).order_by(IDS.c.entry_id).limit(count)
        query = (
            select(
                IDS.c.entry_id,
                IDS.c.shard,
                IDS.c.sequence,
                # After a month was dropped as a whole, its ids go one by one.
                or_(
                    ENTRIES.c.sequence.is_not(None),
                    IDS.c.sequence <= func.coalesce(STARTS.c.sequence, 0),
                ).label("has_entry"),
            )
            .select_from(
                IDS.outerjoin(ENTRIES, same).outerjoin(STARTS, STARTS.c.shard == IDS.c.shard)
            )
            .where(IDS.c.entry_id.in_(select(some.subquery().c.entry_id)))
            .order_by(IDS.c.entry_id)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [StoredId(row.entry_id, row.shard, row.sequence, row.has_entry) for row in rows]

    async def erased_entries(self) -> int:
        query = select(func.coalesce(func.sum(ERASURES.c.entries), 0))
        async with self._database.reading() as connection:
            return int(await connection.scalar(query) or 0)

    async def hours(self, after: int | None, count: int) -> ComparedHours:
        async with self._database.reading() as connection:
            return await compare_hours(connection, after, count)


def _next_shard(table: Table, after: int | None) -> Any:
    query = select(func.min(table.c.shard))
    if table in {HEADS, STARTS}:
        # Shards that nothing was written to yet may have them.
        query = query.where(table.c.sequence != 0)
    return query if after is None else query.where(table.c.shard > after)


async def _link(connection: AsyncConnection, table: Table, shard: int) -> Link | None:
    query = select(table.c.sequence, table.c.chain).where(table.c.shard == shard)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Link(row.sequence, row.chain)


async def _entries(
    connection: AsyncConnection, shard: int, after: int | None, count: int
) -> tuple[list[StoredEntry], bool]:
    """Entries, and whether they are the last. Those of one sequence stay together."""
    query = select(*_ENTRY_COLUMNS).where(ENTRIES.c.shard == shard)
    if after is not None:
        query = query.where(ENTRIES.c.sequence > after)
    query = query.order_by(ENTRIES.c.sequence, ENTRIES.c.booked_time).limit(count + 1)
    entries = [StoredEntry(*row) for row in await connection.execute(query)]
    if len(entries) <= count:
        return entries, True
    following = entries[-1].sequence
    whole = [entry for entry in entries if entry.sequence != following]
    return whole or entries, False


async def _lines(
    connection: AsyncConnection, shard: int, after: int | None, last: int | None
) -> Mapping[tuple[int, int], Sequence[StoredLine]]:
    """The lines after a sequence and up to another, whether or not they have entries."""
    query = select(LINES).where(LINES.c.shard == shard)
    if after is not None:
        query = query.where(LINES.c.sequence > after)
    if last is not None:
        query = query.where(LINES.c.sequence <= last)
    rows = (await connection.execute(query)).mappings().all()
    names = await _names(connection, {row[field] for row in rows for field in _LABELLED})
    lines: dict[tuple[int, int], list[StoredLine]] = {}
    for row in rows:
        place = (row["sequence"], row["booked_time"])
        lines.setdefault(place, []).append(StoredLine(row["number"], _line(row, names)))
    return lines


async def _names(
    connection: AsyncConnection, numbers: Iterable[int]
) -> Mapping[tuple[int, int], str]:
    """Names, by their kind and number."""
    wanted = sorted(numbers)
    names: dict[tuple[int, int], str] = {}
    for begin in range(0, len(wanted), _MOST_A_QUERY):
        some = wanted[begin : begin + _MOST_A_QUERY]
        rows = await connection.execute(select(LABELS).where(LABELS.c.label_id.in_(some)))
        names.update({(row.kind, row.label_id): row.text for row in rows})
    return names


def _line(row: RowMapping, names: Mapping[tuple[int, int], str]) -> Line:
    values: dict[str, Any] = {name: row[name] for name in Line.__struct_fields__}
    for field, kind in _LABELLED.items():
        number = values[field]
        values[field] = "" if number == NO_LABEL else names.get((kind, number), NO_NAME)
    return Line(**values)


async def _places(
    connection: AsyncConnection, ids: Sequence[str]
) -> Mapping[str, tuple[int, int, int]]:
    rows = await connection.execute(select(IDS).where(IDS.c.entry_id.in_(ids)))
    return {row.entry_id: (row.shard, row.sequence, row.booked_time) for row in rows}
