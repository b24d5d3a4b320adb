"""Lines summed up by the hour: never another report than line by line, whatever comes between."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from bench.generated_usage import Company, entries
from quota.ledger import report_oracle as oracle
from quota.ledger.usage import database_at, rows
from sqlalchemy import delete, func, insert, select, update

from meshgate.quota.ledger.hours import HOUR, Hours
from meshgate.quota.ledger.reports import Dimension, ReportQuery, UsageFilter
from meshgate.quota.ledger.schema import ERASURES, HOURS, LINES, STARTS, SUMMED
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_reports import SqlReports
from meshgate.quota.ledger.time_buckets import Bucket, Span, starts
from meshgate.runtime.errors import ServiceUnavailableError

START = int(datetime(2026, 10, 24, tzinfo=UTC).timestamp()) * 1_000_000
END = START + 48 * HOUR
USAGE = list(entries(Company(START, days=2, organizations=2, teams=2, users=3, keys=4), 300))
SPANS = [
    Span(START, END),
    Span(START + 17, END - 17),
    Span(START + HOUR + 1, START + 2 * HOUR - 1),
    Span(START - 3 * HOUR, START + 5 * HOUR + 7),
]
ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "Asia/Kolkata")]


@asynccontextmanager
async def ledger_with(url, usage):
    async with database_at(url) as database:
        if usage:
            await SqlLedger(database).append(usage)
        yield database


async def advance(database, **options):
    """Sum up all that there is; how many steps that took."""
    hours, steps = Hours(database, **options), 1
    while await hours.advance():
        steps += 1
    return steps


async def check_reports(database, usage):
    reports = SqlReports(database)
    for span in SPANS:
        for zone in ZONES:
            query = ReportQuery(
                filter=UsageFilter(span),
                group_by=(Dimension.TEAM, Dimension.MODEL),
                group_by_tags=("tier",),
                starts=starts(span, Bucket.DAY, zone, 10),
                size=100_000,
            )
            found = await reports.report(query)
            clocks = [oracle.wall_clock(row.start, Bucket.DAY, zone) for row in found.rows]
            told = [
                (clock, (*row.names, *row.tags), row.sums)
                for clock, row in zip(clocks, found.rows, strict=True)
            ]
            assert told == oracle.rows(usage, query, Bucket.DAY, zone)
    narrow = UsageFilter(SPANS[1], ((Dimension.ORGANIZATION, "org_1"),), (("region", "eu"),))
    total = (await reports.report(ReportQuery(filter=narrow))).total
    assert total == oracle.sums(line for _, line in oracle.fitting(usage, narrow))


async def count(database, table):
    async with database.reading() as connection:
        return await connection.scalar(select(func.count()).select_from(table))


async def test_reports_are_the_same_before_while_and_after_it_is_summed_up(ledger_url):
    async with ledger_with(ledger_url, USAGE[:200]) as database:
        await check_reports(database, USAGE[:200])

        await Hours(database, most_entries=70).advance()
        await check_reports(database, USAGE[:200])
        steps = 1 + await advance(database, most_entries=70)
        await check_reports(database, USAGE[:200])
        await SqlLedger(database).append(USAGE[200:])
        await check_reports(database, USAGE)
        await advance(database)
        await check_reports(database, USAGE)

        summed = await rows(database, HOURS)
    assert steps >= 3
    lines = [line for entry in USAGE for line in entry.lines]
    assert sum(row["cost_nanos"] for row in summed) == sum(line.cost_nanos for line in lines)
    assert {row["booked_time"] % HOUR for row in summed} == {0}


async def test_sums_are_read_where_there_are_some(ledger_url):
    async with ledger_with(ledger_url, USAGE) as database:
        await advance(database)
        async with database.writing() as connection:
            await connection.execute(delete(LINES))

        whole = ReportQuery(filter=UsageFilter(SPANS[0]))
        report = await SqlReports(database).report(whole)

    expected = oracle.sums(line for _, line in oracle.fitting(USAGE, whole.filter))
    assert report.total == expected


async def test_several_who_sum_up_at_once_count_nothing_twice(ledger_url):
    async with ledger_with(ledger_url, USAGE) as one, database_at(ledger_url) as other:
        await asyncio.gather(*(advance(database, most_entries=40) for database in (one, other)))

        await check_reports(one, USAGE)


async def erase(connection):
    row = {"time": 1, "kind": 1, "principal_id": "admin", "entries": 5}
    await connection.execute(insert(ERASURES), row)


async def erase_more(connection):
    await connection.execute(update(ERASURES).values(entries=ERASURES.c.entries + 1))


async def drop(connection):
    await connection.execute(insert(STARTS), {"shard": 1, "sequence": 7, "chain": b"x"})


@pytest.mark.parametrize("change", [erase, drop])
async def test_what_is_erased_or_dropped_is_in_no_report_from_then_on(ledger_url, change):
    async with ledger_with(ledger_url, USAGE) as database:
        await advance(database)
        left = [entry for entry in USAGE if entry.shard % 2]
        async with database.writing() as connection:
            await connection.execute(delete(LINES).where(LINES.c.shard % 2 == 0))
            await change(connection)

        await check_reports(database, left)
        await advance(database)
        await check_reports(database, left)

        marks = {row["mark"] for row in await rows(database, SUMMED)}
    assert len(marks) == 1


async def test_an_erasure_that_goes_on_is_noticed_again(ledger_url):
    async with ledger_with(ledger_url, USAGE) as database:
        async with database.writing() as connection:
            await erase(connection)
        await advance(database)
        async with database.writing() as connection:
            await connection.execute(delete(LINES))
            await erase_more(connection)

        await check_reports(database, [])
        await advance(database)
        summed = await count(database, HOURS)

    assert summed == 0


async def test_it_goes_on_when_the_database_comes_back(ledger_url):
    pauses, checks = [], iter([ServiceUnavailableError("away"), None, None])

    async def check():
        if error := next(checks):
            raise error

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    async with ledger_with(ledger_url, USAGE) as database:
        with pytest.raises(asyncio.CancelledError):
            await Hours(database, most_entries=200).keep(check, sleep)
        await check_reports(database, USAGE)
        summed = sum(row["requests"] for row in await rows(database, HOURS))

    assert summed == sum(line.requests for entry in USAGE for line in entry.lines)
    assert pauses[1] < pauses[0] == pauses[2]


async def test_an_organization_alone_is_read_by_the_hour_too(ledger_url):
    async with ledger_with(ledger_url, USAGE) as database:
        await advance(database)
        query = ReportQuery(
            filter=UsageFilter(SPANS[1], ((Dimension.ORGANIZATION, "org_0"),)),
            group_by=(Dimension.KEY,),
        )
        found = await SqlReports(database).report(query)
        none = await SqlReports(database).report(
            replace(query, filter=replace(query.filter, names=((Dimension.KEY, "nobody"),)))
        )

    assert [(row.names, row.sums) for row in found.rows] == [
        (names, sums) for _, names, sums in oracle.rows(USAGE, query, None, ZONES[0])
    ]
    assert none.rows == ()
