"""Where the sums of a report are read: by the hour where that is enough, else line by line."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import ColumnElement, Table, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.conditions import Wanted
from meshgate.quota.ledger.hours import HOUR, Summed, read_summed
from meshgate.quota.ledger.reports import ReportQuery
from meshgate.quota.ledger.schema import HEADS, HOURS, LINES
from meshgate.quota.ledger.time_buckets import Span


class Source(Struct, frozen=True):
    """A table that has the columns of the lines, and what counts of it."""

    table: Table
    conditions: Sequence[ColumnElement[bool]]


async def read_sources(
    connection: AsyncConnection, query: ReportQuery, wanted: Wanted
) -> Sequence[Source]:
    """What has all that is wanted, each thing once."""
    span = query.filter.span
    full = Span(-(-span.start // HOUR) * HOUR, span.end // HOUR * HOUR)
    if full.start >= full.end or not _are_full_hours(query.starts):
        return (_lines(wanted, span),)
    summed = await read_summed(connection)
    if not (summed.sequences and summed.is_valid):
        return (_lines(wanted, span),)
    sources = [Source(HOURS, wanted.of(HOURS.c, full))]
    if rest := await _not_summed(connection, summed):
        sources.append(Source(LINES, (*wanted.of(LINES.c, full), or_(*rest))))
    edges = [Span(span.start, full.start), Span(full.end, span.end)]
    if edges := [edge for edge in edges if edge.start < edge.end]:
        sources.append(_lines(wanted, *edges))
    return sources


async def _not_summed(connection: AsyncConnection, summed: Summed) -> Sequence[ColumnElement[bool]]:
    """What lines are that are not summed up yet, shard by shard."""
    heads = (await connection.execute(select(HEADS.c.shard, HEADS.c.sequence))).all()
    ends = [(shard, summed.sequences.get(shard, 0), head) for shard, head in heads]
    return [
        (LINES.c.shard == shard) & (LINES.c.sequence > end)
        for shard, end, head in ends
        if end < head
    ]


def _are_full_hours(starts: Sequence[int]) -> bool:
    """In India days begin at half past an hour of UTC. The first only says that it is the first."""
    return all(start % HOUR == 0 for start in starts[1:])


def _lines(wanted: Wanted, *spans: Span) -> Source:
    return Source(LINES, wanted.of(LINES.c, *spans))
