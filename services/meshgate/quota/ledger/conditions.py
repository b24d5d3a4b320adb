"""Which lines a filter means, as SQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, and_, case, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from meshgate.quota.ledger.labels import Kind, storable
from meshgate.quota.ledger.reports import Dimension, UsageFilter
from meshgate.quota.ledger.schema import LABELS
from meshgate.quota.ledger.time_buckets import Span

_MOST_IDS_A_QUERY = 5_000


Columns = ReadOnlyColumnCollection[str, Column[Any]]
"""Of a table that has those of the lines."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be true of a line.

    Attributes:
        numbers: The labels that it must have, by the column.
        tagged: Selects the labels of all tags of which it must have one; from each.
    """

    numbers: Mapping[str, int]
    tagged: Sequence[Any]

    def of(self, columns: Columns, *spans: Span) -> Sequence[ColumnElement[bool]]:
        """It, in one of these spans."""
        time = columns["booked_time"]
        return (
            or_(*((time >= span.start) & (time < span.end) for span in spans)),
            *(columns[name] == number for name, number in self.numbers.items()),
            *(columns["tags"].in_(labels) for labels in self.tagged),
        )


async def read_wanted(connection: AsyncConnection, wanted: UsageFilter) -> Wanted | None:
    """What a filter wants; None if nothing can fit, as a name is not in the ledger."""
    names: dict[Dimension, str] = {}
    for dimension, name in wanted.names:
        if names.setdefault(dimension, name) != name:
            return None
    numbers = await _numbers(connection, names)
    if len(numbers) < len(names):
        return None
    return Wanted(numbers, [_tagged(connection, name, value) for name, value in wanted.tags])


async def texts_of(connection: AsyncConnection, numbers: Iterable[int]) -> Mapping[int, str]:
    """What labels say, those that there are."""
    asked = sorted(numbers)
    found: dict[int, str] = {}
    for begin in range(0, len(asked), _MOST_IDS_A_QUERY):
        chunk = asked[begin : begin + _MOST_IDS_A_QUERY]
        query = select(LABELS.c.label_id, LABELS.c.text).where(LABELS.c.label_id.in_(chunk))
        found |= {row.label_id: row.text for row in await connection.execute(query)}
    return found


def bucket_number(time: ColumnElement[int], starts: Sequence[int]) -> ColumnElement[int]:
    """Which of some stretches a time is in; the first begins before all times."""
    if not starts:
        return literal_column("0")
    steps = {later - earlier for earlier, later in pairwise(starts)}
    if not steps:
        return literal_column("0")
    if len(steps) == 1:
        return (time - starts[0]) // steps.pop()
    return _halved(time, starts, 0, len(starts))


def _halved(
    time: ColumnElement[int], starts: Sequence[int], begin: int, end: int
) -> ColumnElement[int]:
    """Days are not all as long, nor months: few comparisons lead to the right one."""
    if end - begin == 1:
        return literal_column(str(begin))
    middle = (begin + end) // 2
    return case(
        (time < starts[middle], _halved(time, starts, begin, middle)),
        else_=_halved(time, starts, middle, end),
    )


async def _numbers(
    connection: AsyncConnection, names: Mapping[Dimension, str]
) -> Mapping[str, int]:
    """The labels of names, by their column; without those that there are none for."""
    if not names:
        return {}
    kinds = {Kind[dimension.name]: dimension.value for dimension in names}
    alternatives = [
        and_(LABELS.c.kind == Kind[dimension.name], LABELS.c.text == storable(name))
        for dimension, name in names.items()
    ]
    query = select(LABELS.c.kind, LABELS.c.label_id).where(or_(*alternatives))
    return {kinds[Kind(row.kind)]: row.label_id for row in await connection.execute(query)}


def _tagged(connection: AsyncConnection, name: str, value: str) -> Any:
    """The labels of all mixes of tags that have one: no name of a tag is punctuation alone."""
    tag = msgspec.json.encode({storable(name): storable(value)}).decode()[1:-1]
    find = func.strpos if connection.dialect.name == "postgresql" else func.instr
    return select(LABELS.c.label_id).where(LABELS.c.kind == Kind.TAGS, find(LABELS.c.text, tag) > 0)
