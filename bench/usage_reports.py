"""How long reports take over a ledger of a million requests, in SQLite and PostgreSQL.

    .venv/bin/python -m bench.usage_reports [requests] [postgresql://user@host/name]

Makes a SQLite file in the temporary directory, and fills it with what companies of agents used in a month;
PostgreSQL only if one is named, with the tables of `meshgate migrate` in it. What is in a database already is
used as it is. Each report is made five times; the median counts. The CPU time is that of this process: with
SQLite it is all there is, and tells more than the clock on a machine that others use too.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import ScalarSelect, Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.generated_usage import HOUR, Company, entries
from meshgate.database.database import Database
from meshgate.database.migration import migrate
from meshgate.quota.ledger.hours import Hours
from meshgate.quota.ledger.reports import (
    Dimension,
    Order,
    RecordQuery,
    ReportQuery,
    UsageFilter,
)
from meshgate.quota.ledger.schema import ENTRIES, HEADS, HOURS, LINES, SCHEMA
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_reports import SqlReports
from meshgate.quota.ledger.time_buckets import Bucket, Span, starts

TRANSACTION = 5_000
TIMES = 5
# Not all is written one by one: the rest are copies of it on other days.
COPIES = 16
DAYS = 30
DAY = 24 * HOUR
SHIFT = 7 * DAY + 61_000_000
START = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()) * 1_000_000
MONTH = Span(START, START + DAYS * DAY)
# As people ask: the end is now, and so no bound of an hour.
UNTIL_NOW = Span(START + 17 * HOUR // 60, START + DAYS * DAY - 13 * HOUR // 60)
BERLIN = ZoneInfo("Europe/Berlin")
COMPANY = Company(START, days=DAYS)

Question = ReportQuery | RecordQuery


def questions() -> dict[str, Question]:
    """What people ask."""
    month = UsageFilter(UNTIL_NOW)
    one_key = replace(month, names=((Dimension.KEY, "key_0_1"),))
    last_day = UsageFilter(Span(UNTIL_NOW.end - DAY, UNTIL_NOW.end), one_key.names)
    days = starts(UNTIL_NOW, Bucket.DAY, BERLIN, 100)
    hours = starts(last_day.span, Bucket.HOUR, BERLIN, 100)
    one_organization = replace(month, names=((Dimension.ORGANIZATION, "org_1"),))
    return {
        "total of a month": ReportQuery(filter=month),
        "month by team": ReportQuery(filter=month, group_by=(Dimension.TEAM,)),
        "month by model and day": ReportQuery(
            filter=month, group_by=(Dimension.MODEL,), starts=days
        ),
        "top 10 keys of a month": ReportQuery(filter=month, group_by=(Dimension.KEY,), size=10),
        "month by the tag region": ReportQuery(filter=month, group_by_tags=("region",)),
        "month with a tag, by target": ReportQuery(
            filter=replace(month, tags=(("tier", "1"),)), group_by=(Dimension.TARGET,)
        ),
        "one organization's month by user": ReportQuery(
            filter=one_organization, group_by=(Dimension.USER,), order=Order.TOKENS
        ),
        "one key's last day by hour": ReportQuery(filter=last_day, starts=hours),
        "the last 100 requests": RecordQuery(filter=month),
        "a key's last 100 requests": RecordQuery(filter=one_key),
        "one request by its name": RecordQuery(filter=month, request_id="req-1-500000"),
    }


async def fill(database: Database, count: int) -> None:
    """Write what was used, unless something is there."""
    async with database.reading() as connection:
        there = await connection.scalar(select(func.count()).select_from(LINES))
    if there:
        print(f"  {there:,} lines are there already")
        return
    ledger, begin = SqlLedger(database), time.perf_counter()
    usage = entries(COMPANY, count // COPIES)
    while some := list(islice(usage, TRANSACTION)):
        await ledger.append(some)
    written = time.perf_counter() - begin
    async with database.writing() as connection:
        await multiply(connection)
    print(f"  filled in {time.perf_counter() - begin:.0f} s, {written:.0f} of them for the first")


async def multiply(connection: AsyncConnection) -> None:
    """Copy everything to other days, as if the same had been used there too."""
    for table in (ENTRIES, LINES):
        rest = [column for column in table.c if column.name not in {"sequence", "booked_time"}]
        heads = head_of(table)
        for copy in range(1, COPIES):
            moved = START + (table.c.booked_time - START + copy * SHIFT) % (DAYS * DAY)
            rows = select(table.c.sequence + copy * heads, moved, *rest).where(
                table.c.sequence <= heads
            )
            names = ["sequence", "booked_time", *(column.name for column in rest)]
            await connection.execute(table.insert().from_select(names, rows))
    await connection.execute(HEADS.update().values(sequence=HEADS.c.sequence * COPIES))


def head_of(table: Table) -> ScalarSelect[int]:
    """The last entry that was written to the shard of a row."""
    return select(HEADS.c.sequence).where(HEADS.c.shard == table.c.shard).scalar_subquery()


async def sum_up(database: Database) -> None:
    """Sum the lines up by the hour, as quota does all the time."""
    hours, begin = Hours(database), time.perf_counter()
    while await hours.advance():
        pass
    seconds = time.perf_counter() - begin
    async with database.writing() as connection:
        await connection.execute(text("ANALYZE"))
        rows = await connection.scalar(select(func.count()).select_from(HOURS))
    print(f"  summed up in {seconds:.0f} s: {rows:,} rows")


async def measure(database: Database) -> None:
    """Ask everything, and print how long it took."""
    reports = SqlReports(database)
    for name, question in questions().items():
        seconds, busy = [], []
        for _ in range(TIMES):
            begin, begin_busy = time.perf_counter(), time.process_time()
            found = await answered(reports, question)
            seconds.append(time.perf_counter() - begin)
            busy.append(time.process_time() - begin_busy)
        passed, own = (round(statistics.median(some) * 1_000) for some in (seconds, busy))
        print(f"  {name:34}{passed:9,} ms{own:9,} ms of CPU here{found:9,} found")


async def answered(reports: SqlReports, question: Question) -> int:
    """How much was found."""
    if isinstance(question, ReportQuery):
        return len((await reports.report(question)).rows)
    return len((await reports.records(question)).records)


async def run(url: str, count: int) -> None:
    """Fill and measure one database."""
    database = Database(SCHEMA, url, wait_seconds=600.0)
    print(database)
    try:
        await fill(database, count)
        print("  line by line:")
        await measure(database)
        await sum_up(database)
        print("  with what is summed up by the hour:")
        await measure(database)
    finally:
        await database.close()


async def main() -> None:
    """Measure SQLite, and what is named besides."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    file = Path(tempfile.gettempdir()) / f"meshgate-usage-{count}.sqlite"
    url = f"sqlite:///{file}"
    await migrate(SCHEMA, url)
    for one in [url, *sys.argv[2:]]:
        await run(one, count)


if __name__ == "__main__":
    asyncio.run(main())
