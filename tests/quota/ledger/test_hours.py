"""Lines summed up by the hour: never another report than line by line, whatever comes between."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from bench.generated_usage import Company, entries
from msgspec import structs
from quota.ledger import report_oracle as oracle
from quota.ledger.breaking import BreakingDatabase, WatchedDatabase
from quota.ledger.hourly import check_hours
from quota.ledger.usage import MOMENT, charge, database_at, record, rows, told
from quota.ledger.usage import entries as ledger_entries
from sqlalchemy import delete, func, select, update

from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.hours import HOUR, Hours
from meshgate.quota.ledger.reports import Dimension, ReportQuery, UsageFilter
from meshgate.quota.ledger.schema import HOURS, LINES, SUMMED
from meshgate.quota.ledger.sql_eraser import SqlEraser
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_reports import SqlReports
from meshgate.quota.ledger.sql_retention import SqlAgingBooks
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


@pytest.mark.parametrize("most_entries", [20_000, 150])
async def test_what_is_dropped_is_taken_out_of_the_sums_and_they_are_not_made_anew(
    ledger_url, most_entries
):
    async with ledger_with(ledger_url, USAGE) as database:
        await Hours(database, most_entries).advance()
        before = await rows(database, SUMMED)
        watched = WatchedDatabase(database, lambda: check_hours(database, SPANS[0]))

        await SqlAgingBooks(watched).drop_before(SPANS[0].start + 30 * HOUR, lambda _: None)

        assert watched.transactions > 1
        assert await rows(database, SUMMED) == before
        assert 0 < await count(database, LINES) < sum(len(entry.lines) for entry in USAGE)
        await check_hours(database, *SPANS)
        await advance(database)
        await check_hours(database, *SPANS)


async def test_it_begins_where_chains_begin(ledger_url):
    usage = [structs.replace(entry, shard=1) for entry in USAGE]
    async with ledger_with(ledger_url, usage) as database:
        await SqlAgingBooks(CheckedDatabase(database)).drop_before(END, lambda _: None)
        await SqlLedger(database).append([structs.replace(usage[0], entry_id="one more")])

        steps = await advance(database, most_entries=10)

        await check_hours(database, *SPANS)
    assert steps == 1


@pytest.mark.parametrize("breaks_at", [2, 3])
async def test_of_an_organization_nothing_is_told_once_it_is_erased_after_its_users(
    ledger_url, breaks_at
):
    """As their content is gone by then, nothing but lines goes with it."""
    some = [told(number, record(f"h{number}", charge())) for number in range(5)]
    other = told(7, record("h7", charge(), organization_id="umbrella", user_id="eve"))
    hour = MOMENT * 1_000 // HOUR * HOUR
    span = Span(hour, hour + HOUR)
    async with ledger_with(ledger_url, ledger_entries(*some, other)) as database:
        await advance(database)
        await SqlEraser(CheckedDatabase(database)).erase_user("ann", "root")
        await advance(database)
        await check_hours(database, span)

        with pytest.raises(ServiceUnavailableError):
            await SqlEraser(BreakingDatabase(database, breaks_at)).erase_organization("acme", "r")
        await check_hours(database, span)
        lines = await count(database, LINES)
        await advance(database)
        await check_hours(database, span)
        await SqlEraser(CheckedDatabase(database)).erase_organization("acme", "root")
        await check_hours(database, span)

        assert await count(database, HOURS) == 1
    assert lines == {2: 6, 3: 1}[breaks_at]


async def test_sums_that_were_made_in_another_way_are_made_anew(ledger_url):
    async with ledger_with(ledger_url, USAGE) as database:
        await advance(database)
        async with database.writing() as connection:
            await connection.execute(update(SUMMED).values(mark="1/5/700"))
            await connection.execute(update(HOURS).values(lines=0))

        await check_reports(database, USAGE)
        await SqlAgingBooks(CheckedDatabase(database)).drop_before(START + HOUR, lambda _: None)
        await advance(database)

        await check_hours(database, *SPANS)
        marks = {row["mark"] for row in await rows(database, SUMMED)}
    assert len(marks) == 1


async def test_dropping_and_summing_up_at_once_lose_nothing(ledger_url):
    async with ledger_with(ledger_url, USAGE) as one, database_at(ledger_url) as other:
        await asyncio.gather(
            advance(one, most_entries=20),
            SqlAgingBooks(CheckedDatabase(other)).drop_before(START + 30 * HOUR, lambda _: None),
            SqlEraser(CheckedDatabase(other)).erase_organization("org_1", "root"),
        )

        await check_hours(one, *SPANS)
        await advance(one)
        await check_hours(one, *SPANS)


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
