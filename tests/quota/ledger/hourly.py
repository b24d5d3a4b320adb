"""Whether reports and the sums by the hour are exactly what the lines give."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from quota.ledger.usage import named_lines, rows

from meshgate.database.database import Database
from meshgate.quota.ledger.hours import HOUR
from meshgate.quota.ledger.reports import Dimension, ReportQuery, UsageFilter
from meshgate.quota.ledger.schema import COUNT_COLUMNS, HOURS, LABEL_COLUMNS, LINES, SUMMED
from meshgate.quota.ledger.sql_reports import SqlReports
from meshgate.quota.ledger.time_buckets import Span

_Sums = dict[tuple[Any, ...], tuple[int, ...]]


async def check_hours(database: Database, *spans: Span) -> None:
    """The sums are those of the lines up to where they go, and each report is that of the lines."""
    await _check_sums(database)
    lines = await named_lines(database)
    for span in spans:
        query = ReportQuery(filter=UsageFilter(span), group_by=tuple(Dimension), size=100_000)
        report = await SqlReports(database).report(query)
        told = {
            row.names: tuple(getattr(row.sums, name) for name in COUNT_COLUMNS)
            for row in report.rows
        }
        within = [line for line in lines if span.start <= line["booked_time"] < span.end]
        assert told == _grouped(within, [dimension.value for dimension in Dimension])


async def _check_sums(database: Database) -> None:
    ends = {row["shard"]: row["sequence"] for row in await rows(database, SUMMED)}
    lines = [
        {**line, "booked_time": line["booked_time"] // HOUR * HOUR, "lines": 1}
        for line in await rows(database, LINES)
        if line["sequence"] <= ends.get(line["shard"], 0)
    ]
    names, counts = ["booked_time", *LABEL_COLUMNS], (*COUNT_COLUMNS, "lines")
    found = _grouped(await rows(database, HOURS), names, counts)
    assert found == _grouped(lines, names, counts)


def _grouped(
    some: Iterable[dict[str, Any]], names: Sequence[str], counts: Sequence[str] = COUNT_COLUMNS
) -> _Sums:
    groups: defaultdict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in some:
        groups[tuple(row[name] for name in names)].append(row)
    return {
        key: tuple(sum(row[name] for row in group) for name in counts)
        for key, group in groups.items()
    }
