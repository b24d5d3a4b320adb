"""Single requests from the ledger in SQLite or PostgreSQL."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Select, exists, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.conditions import Columns, Wanted
from meshgate.quota.ledger.entries import RECORD_KINDS
from meshgate.quota.ledger.reports import (
    Dimension,
    RecordPage,
    RecordPosition,
    RecordQuery,
)
from meshgate.quota.ledger.schema import ENTRIES, LINES
from meshgate.v1 import usage_record_pb2 as pb


async def read_records(
    connection: AsyncConnection, query: RecordQuery, wanted: Wanted
) -> RecordPage:
    """A page of the records whose lines are wanted."""
    found: list[tuple[RecordPosition, pb.UsageRecord]] = []
    after = query.after
    while len(found) <= query.size:
        contents = (
            _contents_with(connection, query, wanted, after)
            if query.request_id
            else _contents(query, wanted, after)
        )
        rows = (await connection.execute(contents)).all()
        found += _records_in(rows, query)
        if len(rows) <= query.size:
            break
        # Lines of the last entry may be missing: it has been found already.
        after = _position(query, rows[-1])
    page = found[: query.size]
    is_last = len(found) <= query.size
    return RecordPage(tuple(record for _, record in page), None if is_last else page[-1][0])


def _contents(
    query: RecordQuery,
    wanted: Wanted,
    after: RecordPosition | None,
) -> Select[Any]:
    """The contents of entries, the newest first: one more than a page has."""
    place = (LINES.c.booked_time, LINES.c.shard, LINES.c.sequence)
    found = (
        select(*place, ENTRIES.c.content)
        .join(ENTRIES, _is_same_entry())
        .where(*wanted.of(LINES.c, query.filter.span))
        .where(ENTRIES.c.kind.in_(sorted(RECORD_KINDS)), ENTRIES.c.content.is_not(None))
        .order_by(*(column.desc() for column in place))
        .limit(query.size + 1)
    )
    if not _is_by_target(query):
        # All lines of a request have the same names but this.
        found = found.where(LINES.c.number == 0)
    if after is not None:
        found = found.where(*_before(LINES.c, after))
    return found


def _contents_with(
    connection: AsyncConnection,
    query: RecordQuery,
    wanted: Wanted,
    after: RecordPosition | None,
) -> Select[Any]:
    """Likewise, of those that may have a name: entry by entry, since few will."""
    span, place = query.filter.span, (ENTRIES.c.booked_time, ENTRIES.c.shard, ENTRIES.c.sequence)
    is_wanted = select(LINES.c.number).where(_is_same_entry(), *wanted.of(LINES.c, span))
    found = (
        select(*place, ENTRIES.c.content)
        .where(ENTRIES.c.booked_time >= span.start, ENTRIES.c.booked_time < span.end)
        .where(ENTRIES.c.kind.in_(sorted(RECORD_KINDS)))
        .where(_holds(connection, query.request_id.encode()))
        .where(exists(is_wanted.correlate(ENTRIES)))
        .order_by(*(column.desc() for column in place))
        .limit(query.size + 1)
    )
    return found if after is None else found.where(*_before(ENTRIES.c, after))


def _holds(connection: AsyncConnection, part: bytes) -> ColumnElement[bool]:
    """Whether a content may have it: it is looked for in all that fits the filter."""
    content = ENTRIES.c.content
    if connection.dialect.name == "postgresql":
        return func.position(literal(part, LargeBinary).op("IN")(content)) > 0
    return func.instr(content, literal(part, LargeBinary)) > 0


def _is_by_target(query: RecordQuery) -> bool:
    return any(dimension is Dimension.TARGET for dimension, _ in query.filter.names)


def _is_same_entry() -> ColumnElement[bool]:
    names = ("shard", "sequence", "booked_time")
    first, *others = (LINES.c[name] == ENTRIES.c[name] for name in names)
    for other in others:
        first &= other
    return first


def _before(columns: Columns, after: RecordPosition) -> Sequence[ColumnElement[bool]]:
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
    rows: Iterable[Any], query: RecordQuery
) -> Iterable[tuple[RecordPosition, pb.UsageRecord]]:
    """Each entry once, however many of its lines fit."""
    last = None
    for row in rows:
        position = _position(query, row)
        if position == last:
            continue
        last = position
        record = pb.UsageRecord.FromString(row.content)
        if not query.request_id or record.request_id == query.request_id:
            yield position, record


def _position(query: RecordQuery, row: Any) -> RecordPosition:
    span = query.filter.span
    return RecordPosition((span.start, span.end), row.booked_time, row.shard, row.sequence)
