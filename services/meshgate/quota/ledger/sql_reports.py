"""Reports from the ledger in SQLite or PostgreSQL."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, func, literal_column, select

from meshgate.database.database import Database
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.conditions import bucket_number, read_wanted, texts_of
from meshgate.quota.ledger.reports import (
    Order,
    RecordPage,
    RecordQuery,
    Report,
    ReportPosition,
    ReportQuery,
    ReportRow,
    Sums,
    TooManyRowsError,
)
from meshgate.quota.ledger.schema import COUNT_COLUMNS, LINES
from meshgate.quota.ledger.snapshot import keep_months
from meshgate.quota.ledger.sources import Source, read_sources
from meshgate.quota.ledger.sql_records import read_records

MOST_ROWS = 100_000
"""That one report may have, on all its pages together."""

_BUCKET = "bucket"
_RANKS: Mapping[Order, tuple[str, ...]] = {
    Order.COST: ("cost_nanos",),
    Order.TOKENS: ("input_tokens", "output_tokens"),
    Order.REQUESTS: ("requests",),
    Order.SAVED: ("saved_cost_nanos",),
    Order.NAME: (),
}


class _Key(NamedTuple):
    """What tells a row from others, in the order of rows."""

    bucket: int
    rank: int
    names: tuple[str, ...]


_Rows = Mapping[tuple[int, tuple[str, ...]], Sequence[int]]
"""Sums by the number of their stretch and by names."""


class SqlReports:
    """A `Reporting`."""

    def __init__(self, database: Database, most_rows: int = MOST_ROWS) -> None:
        self._database = CheckedDatabase(database)
        self._most_rows = most_rows

    async def report(self, query: ReportQuery) -> Report:
        async with self._database.reading() as connection:
            await keep_months(connection, LINES)
            wanted = await read_wanted(connection, query.filter)
            sources = await read_sources(connection, query, wanted) if wanted else ()
            groups: list[Sequence[Any]] = []
            for source in sources:
                sums = _sums_by(query, source).limit(self._most_rows + 1)
                found = (await connection.execute(sums)).all()
                if len(found) > self._most_rows:
                    raise TooManyRowsError
                groups += found
            texts = await texts_of(connection, _labels_in(groups, query))
        # Others wait for this process: it must not be busy with a large report alone.
        rows = await asyncio.to_thread(_named, query, groups, texts)
        if len(rows) > self._most_rows:
            raise TooManyRowsError
        return await asyncio.to_thread(_page, query, rows)

    async def records(self, query: RecordQuery) -> RecordPage:
        async with self._database.reading() as connection:
            wanted = await read_wanted(connection, query.filter)
            if wanted is None:
                return RecordPage((), None)
            return await read_records(connection, query, wanted)

    async def check(self) -> None:
        """As `CheckedDatabase.check`."""
        await self._database.check()


def _sums_by(query: ReportQuery, source: Source) -> Select[Any]:
    """The sums for each stretch of time and each mix of labels."""
    table = source.table.c
    labels: list[ColumnElement[int]] = [table[name] for name in _label_columns(query)]
    bucket = bucket_number(table.booked_time, query.starts).label(_BUCKET)
    columns: list[ColumnElement[Any]] = [
        bucket,
        *labels,
        *(func.sum(table[name]) for name in COUNT_COLUMNS),
    ]
    found: Select[Any] = select(*columns).where(*source.conditions)
    # By its name: PostgreSQL does not see that two expressions with parameters are the same.
    parts = [literal_column(_BUCKET), *labels] if len(query.starts) > 1 else labels
    return found.group_by(*parts) if parts else found.having(func.count() > 0)


def _label_columns(query: ReportQuery) -> list[str]:
    columns = [dimension.value for dimension in query.group_by]
    return [*columns, "tags"] if query.group_by_tags else columns


def _labels_in(groups: Iterable[Sequence[Any]], query: ReportQuery) -> set[int]:
    end = 1 + len(_label_columns(query))
    return {number for group in groups for number in group[1:end] if number}


def _page(query: ReportQuery, rows: _Rows) -> Report:
    """The rows of a page, in order, and the sum of all."""
    keys = [_Key(bucket, _rank(query.order, sums), names) for (bucket, names), sums in rows.items()]
    keys.sort()
    after = query.after
    begin = bisect_right(keys, _Key(after.bucket, after.rank, after.names)) if after else 0
    page = keys[begin : begin + query.size]
    is_last = begin + query.size >= len(keys)
    return Report(
        rows=tuple(_row(query, key, rows[key.bucket, key.names]) for key in page),
        next=None if is_last else _following(query, page[-1]),
        total=None if after else _total(rows.values()),
    )


def _named(
    query: ReportQuery, groups: Iterable[Sequence[Any]], texts: Mapping[int, str]
) -> dict[tuple[int, tuple[str, ...]], list[int]]:
    """The sums by the stretch of time and by names: several labels may come to the same."""
    end = 1 + len(query.group_by)
    first_sum = end + bool(query.group_by_tags)
    tags = _TagValues(query.group_by_tags, texts)
    rows: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for group in groups:
        names = tuple(texts.get(number, "") for number in group[1:end])
        if query.group_by_tags:
            names += tags.of(group[end])
        sums = [int(amount) for amount in group[first_sum:]]
        before = rows.setdefault((group[0], names), sums)
        if before is not sums:
            before[:] = map(sum, zip(before, sums, strict=True))
    return rows


class _TagValues:
    """The values of some tags in labels that hold all tags."""

    def __init__(self, names: Sequence[str], texts: Mapping[int, str]) -> None:
        self._names = names
        self._texts = texts
        self._known: dict[int, tuple[str, ...]] = {}

    def of(self, number: int) -> tuple[str, ...]:
        known = self._known.get(number)
        if known is None:
            text = self._texts.get(number)
            tags = msgspec.json.decode(text, type=dict[str, str]) if text else {}
            known = tuple(tags.get(name, "") for name in self._names)
            self._known[number] = known
        return known


def _rank(order: Order, sums: Sequence[int]) -> int:
    return -sum(sums[COUNT_COLUMNS.index(name)] for name in _RANKS[order])


def _row(query: ReportQuery, key: _Key, sums: Sequence[int]) -> ReportRow:
    parting = len(query.group_by)
    return ReportRow(
        start=query.starts[key.bucket] if query.starts else None,
        names=key.names[:parting],
        tags=key.names[parting:],
        sums=Sums(*sums),
    )


def _following(query: ReportQuery, key: _Key) -> ReportPosition:
    span = query.filter.span
    return ReportPosition((span.start, span.end), *key)


def _total(rows: Iterable[Sequence[int]]) -> Sums:
    return Sums(*(sum(column) for column in zip(*rows, strict=True)))
