"""Single requests from the ledger in SQLite or PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, LargeBinary, and_, exists, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.conditions import Wanted
from meshgate.quota.ledger.entries import RECORD_KINDS
from meshgate.quota.ledger.reports import (
    Dimension,
    RecordPage,
    RecordPosition,
    RecordQuery,
)
from meshgate.quota.ledger.schema import ENTRIES, LINES
from meshgate.v1 import usage_record_pb2 as pb

_PLACE = ("shard", "sequence", "booked_time")


class _Row(NamedTuple):
    """An entry that may be wanted; the content is None where it holds no record."""

    booked_time: int
    shard: int
    sequence: int
    content: bytes | None


async def read_records(
    connection: AsyncConnection, query: RecordQuery, wanted: Wanted
) -> RecordPage:
    """A page of the records whose lines are wanted."""
    read = _named_rows if query.request_id else _rows
    found: list[tuple[RecordPosition, pb.UsageRecord]] = []
    after = query.after
    while len(found) <= query.size:
        rows = await read(connection, query, wanted, after)
        found += _records_in(rows, query)
        if len(rows) <= query.size:
            break
        # Lines of the last entry may be missing: it has been found already.
        after = _position(query, rows[-1])
    page = found[: query.size]
    is_last = len(found) <= query.size
    return RecordPage(tuple(record for _, record in page), None if is_last else page[-1][0])


async def _rows(
    connection: AsyncConnection,
    query: RecordQuery,
    wanted: Wanted,
    after: RecordPosition | None,
) -> Sequence[_Row]:
    """Entries, the newest first: one more than a page has, once for each line that is wanted.

    Their places first, and then what they hold: PostgreSQL joins all lines with all entries otherwise.
    """
    columns = (LINES.c.booked_time, LINES.c.shard, LINES.c.sequence)
    found = (
        select(*columns)
        .where(*wanted.of(LINES.c, query.filter.span))
        .order_by(*(column.desc() for column in columns))
        .limit(query.size + 1)
    )
    if not _is_by_target(query):
        # All lines of a request have the same names but this.
        found = found.where(LINES.c.number == 0)
    if after is not None:
        found = found.where(*_before(LINES.c, after))
    places = (await connection.execute(found)).all()
    contents = await _contents(connection, places)
    return [_Row(*row, contents.get((row.shard, row.sequence))) for row in places]


async def _contents(
    connection: AsyncConnection, places: Sequence[Any]
) -> Mapping[tuple[int, int], bytes]:
    """The records at some places, by shard and sequence."""
    if not places:
        return {}
    sequences: dict[int, set[int]] = {}
    for _, shard, sequence in places:
        sequences.setdefault(shard, set()).add(sequence)
    found = select(ENTRIES.c.shard, ENTRIES.c.sequence, ENTRIES.c.content).where(
        or_(
            *(
                (ENTRIES.c.shard == shard) & ENTRIES.c.sequence.in_(some)
                for shard, some in sequences.items()
            )
        ),
        # So that only the months in question are looked at; the newest is the first.
        ENTRIES.c.booked_time.between(places[-1].booked_time, places[0].booked_time),
        ENTRIES.c.kind.in_(sorted(RECORD_KINDS)),
        ENTRIES.c.content.is_not(None),
    )
    rows = await connection.execute(found)
    return {(row.shard, row.sequence): row.content for row in rows}


async def _named_rows(
    connection: AsyncConnection,
    query: RecordQuery,
    wanted: Wanted,
    after: RecordPosition | None,
) -> Sequence[_Row]:
    """Likewise, of those that may have a name: these first, and then whether they are wanted."""
    span = query.filter.span
    held = (
        select(ENTRIES)
        .where(ENTRIES.c.booked_time >= span.start, ENTRIES.c.booked_time < span.end)
        .where(ENTRIES.c.kind.in_(sorted(RECORD_KINDS)))
        .where(_holds(connection, query.request_id.encode()))
        .cte("held")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    is_same = and_(*(LINES.c[name] == held.c[name] for name in _PLACE))
    is_wanted = select(LINES.c.number).where(is_same, *wanted.of(LINES.c, span))
    columns = (held.c.booked_time, held.c.shard, held.c.sequence)
    found = (
        select(*columns, held.c.content)
        .where(exists(is_wanted.correlate(held)))
        .order_by(*(column.desc() for column in columns))
        .limit(query.size + 1)
    )
    if after is not None:
        found = found.where(*_before(held.c, after))
    return [_Row(*row) for row in await connection.execute(found)]


def _holds(connection: AsyncConnection, part: bytes) -> ColumnElement[bool]:
    """Whether a content may have it: it is looked for in all that fits the filter."""
    content = ENTRIES.c.content
    if connection.dialect.name == "postgresql":
        return func.position(literal(part, LargeBinary).op("IN")(content)) > 0
    return func.instr(content, literal(part, LargeBinary)) > 0


def _is_by_target(query: RecordQuery) -> bool:
    return any(dimension is Dimension.TARGET for dimension, _ in query.filter.names)


def _before(columns: Any, after: RecordPosition) -> Sequence[ColumnElement[bool]]:
    time, shard = columns["booked_time"], columns["shard"]
    is_earlier_in_shard = (shard == after.shard) & (columns["sequence"] < after.sequence)
    return (
        time <= after.booked_time,
        or_(
            time < after.booked_time,
            shard < after.shard,
            is_earlier_in_shard,
        ),
    )


def _records_in(
    rows: Iterable[_Row], query: RecordQuery
) -> Iterable[tuple[RecordPosition, pb.UsageRecord]]:
    """Each entry once, however many of its lines fit."""
    last = None
    for row in rows:
        position = _position(query, row)
        if position == last or row.content is None:
            continue
        last = position
        record = pb.UsageRecord.FromString(row.content)
        if not query.request_id or record.request_id == query.request_id:
            yield position, record


def _position(query: RecordQuery, row: _Row) -> RecordPosition:
    span = query.filter.span
    return RecordPosition((span.start, span.end), row.booked_time, row.shard, row.sequence)
