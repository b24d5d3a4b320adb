"""Compares the sums by the hour with the lines that they are sums of."""

from sqlalchemy import CTE, ColumnElement, func, literal_column, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.findings import ComparedHours
from meshgate.quota.ledger.hours import HOUR, read_summed
from meshgate.quota.ledger.schema import (
    COUNT_COLUMNS,
    HEADS,
    HOURS,
    LABEL_COLUMNS,
    LINES,
    SUMMED,
)
from meshgate.quota.ledger.snapshot import keep_months

_MOST_HOURS = 24
_LAST_TIME = 2**63 - 1
_HOUR = "hour"
_NOTHING = ComparedHours(differing=(), passing=(), line_count=0, last=None)


async def compare_hours(
    connection: AsyncConnection, after: int | None, count: int
) -> ComparedHours:
    """Compare the hours that come next: about `count` lines, one hour at least and a day at most.

    Nothing is compared where something was erased or dropped since: reports read no sums then either.

    Args:
        connection: In a transaction that sees one state, and has seen nothing yet.
        after: The last moment that was compared; None before the first.
        count: How many lines.
    """
    await keep_months(connection, LINES)
    if not (await read_summed(connection)).is_valid:
        return _NOTHING
    passing = await _passing(connection) if after is None else ()
    first = await _first(connection, after)
    if first is None:
        return ComparedHours(differing=(), passing=passing, line_count=0, last=None)
    last = await _last(connection, first, count)
    lines = select(func.count()).select_from(LINES).where(LINES.c.booked_time.between(first, last))
    return ComparedHours(
        differing=await _differing(connection, first, last),
        passing=passing,
        line_count=await connection.scalar(lines) or 0,
        last=last,
    )


async def _passing(connection: AsyncConnection) -> tuple[int, ...]:
    """The chains beyond whose heads lines are said to be summed up."""
    query = (
        select(SUMMED.c.shard)
        .outerjoin(HEADS, HEADS.c.shard == SUMMED.c.shard)
        .where(SUMMED.c.sequence > func.coalesce(HEADS.c.sequence, 0))
        .order_by(SUMMED.c.shard)
    )
    return tuple((await connection.execute(query)).scalars())


async def _first(connection: AsyncConnection, after: int | None) -> int | None:
    """The next moment of which there is a line or a sum."""
    found = []
    for table in (HOURS, LINES):
        # What is no number at all comes behind all numbers, and is in no report.
        query = select(func.min(table.c.booked_time)).where(table.c.booked_time <= _LAST_TIME)
        if after is not None:
            query = query.where(table.c.booked_time > after)
        found.append(await connection.scalar(query))
    return min((int(moment) for moment in found if moment is not None), default=None)


async def _last(connection: AsyncConnection, first: int, count: int) -> int:
    """The last moment of the last hour that is compared together with the first one."""
    hour = first // HOUR * HOUR
    end = hour + _MOST_HOURS * HOUR
    query = (
        select(LINES.c.booked_time)
        .where(LINES.c.booked_time.between(first, min(end - 1, _LAST_TIME)))
        .order_by(LINES.c.booked_time)
        .offset(count)
        .limit(1)
    )
    following: int | None = await connection.scalar(query)
    if following is not None:
        end = max(following // HOUR * HOUR, hour + HOUR)
    return min(end - 1, _LAST_TIME)


async def _differing(connection: AsyncConnection, first: int, last: int) -> tuple[int, ...]:
    """The hours of which the sums are not those of the lines, either way."""
    lines = _sums_of_lines(first, last)
    stored = select(
        HOURS.c.booked_time.label(_HOUR),
        *(HOURS.c[name] for name in (*LABEL_COLUMNS, *COUNT_COLUMNS, "lines")),
    ).where(HOURS.c.booked_time.between(first, last))
    derived = select(*lines.c)
    either = [
        select(found.c[_HOUR])
        for found in (
            derived.except_(stored).subquery("missing"),
            stored.except_(derived).subquery("additional"),
        )
    ]
    hours = (await connection.execute(union(*either))).scalars()
    return tuple(sorted({int(hour) // HOUR * HOUR for hour in hours}))


def _sums_of_lines(first: int, last: int) -> CTE:
    """What the sums should be."""
    labels = [LINES.c[name] for name in LABEL_COLUMNS]
    return (
        select(
            (LINES.c.booked_time - LINES.c.booked_time % HOUR).label(_HOUR),
            *labels,
            *(func.sum(LINES.c[name]).label(name) for name in COUNT_COLUMNS),
            func.count().label("lines"),
        )
        .where(LINES.c.booked_time.between(first, last), _is_summed())
        .group_by(literal_column(_HOUR), *labels)
        .cte("derived")
    )


def _is_summed() -> ColumnElement[bool]:
    """As a question about each line: the lines are found by their time, and not chain by chain."""
    end = select(SUMMED.c.sequence).where(SUMMED.c.shard == LINES.c.shard)
    return LINES.c.sequence <= end.scalar_subquery()
