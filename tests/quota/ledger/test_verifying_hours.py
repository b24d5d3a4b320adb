"""Sums by the hour, which reports read, are those of the lines: whoever changes them is found out."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from bench.generated_usage import Company
from bench.generated_usage import entries as generated
from quota.ledger.books import all_pages, tamper, verify_all
from quota.ledger.usage import MOMENT, charge, database_at, entries, record, rows, told
from sqlalchemy import delete, insert, select, update

from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.findings import Fault
from meshgate.quota.ledger.hours import HOUR, Hours
from meshgate.quota.ledger.schema import (
    COUNT_COLUMNS,
    HEADS,
    HOURS,
    LABEL_COLUMNS,
    LINES,
    SUMMED,
)
from meshgate.quota.ledger.sql_books import SqlBooks
from meshgate.quota.ledger.sql_eraser import SqlEraser
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_retention import SqlAgingBooks
from meshgate.runtime.errors import ServiceUnavailableError

# In milliseconds, as grants' times are.
AN_HOUR = HOUR // 1_000
FIRST = MOMENT // AN_HOUR * AN_HOUR
# After how many hours something was used: two hours of one day, then nothing for long, and one more.
TIMES = (0, 3, 100)
BOB = {"user_id": "bob", "key_id": "k2", "tags": {"app": "x"}}
SECOND = HOURS.c.booked_time == (FIRST + 3 * AN_HOUR) * 1_000
COUNTED = (*COUNT_COLUMNS, "lines")
COLUMNS = ("booked_time", *LABEL_COLUMNS, *COUNTED)


def differs(hours):
    """What is told of an hour, so many after the first."""
    begin = datetime.fromtimestamp((FIRST + hours * AN_HOUR) // 1_000, UTC)
    words = f"the sums of the hour from {begin:%Y-%m-%d %H:%M} UTC are not those of its lines"
    return Fault(0, 0, words)


def passing(shard):
    return Fault(shard, 0, "it is said to be summed up by the hour beyond its head")


def usage(number, hours, shard=3, **more):
    when = FIRST + hours * AN_HOUR + number
    one = record(f"h{number}", charge(), charge(None), **more)
    return entries(told(number, one, shard=shard, grant_time=when))


@asynccontextmanager
async def summed_books(url):
    """Books of several hours, people and chains, summed up by the hour."""
    async with database_at(url) as database:
        ledger = SqlLedger(database)
        for number, hours in enumerate(TIMES):
            await ledger.append(usage(number, hours))
            await ledger.append(usage(10 + number, hours, shard=5, **BOB))
        await sum_up(database)
        yield database


async def sum_up(database):
    hours = Hours(database)
    while await hours.advance():
        pass


async def faults_of(database):
    return list((await verify_all(database)).faults)


async def restore(database, table, before):
    async with database.writing() as connection:
        await connection.execute(delete(table))
        await connection.execute(insert(table), before)


async def test_sums_that_nobody_touched_are_without_fault(ledger_url):
    async with summed_books(ledger_url) as database:
        faults = await faults_of(database)
        summed = await rows(database, HOURS)

    assert faults == []
    assert len({row["booked_time"] for row in summed}) == len(TIMES)


async def test_whatever_is_changed_in_sums_their_hour_is_named(ledger_url):
    faults = {}
    async with summed_books(ledger_url) as database:
        before = await rows(database, HOURS)
        for column in COLUMNS:
            value = HOURS.c[column] + (1 if column in COUNTED else 4_711)

            await tamper(database, update(HOURS).where(SECOND).values({column: value}))

            faults[column] = await faults_of(database)
            await restore(database, HOURS, before)
        assert await faults_of(database) == []
    assert faults == {column: [differs(3)] for column in COLUMNS}


def test_every_column_of_the_sums_was_changed():
    assert set(COLUMNS) == {column.name for column in HOURS.columns}


async def test_what_is_moved_from_one_sum_to_another_is_named(ledger_url):
    async with summed_books(ledger_url) as database:
        ann, bob = [row["user"] for row in await rows(database, HOURS) if row["model"]][:2]
        async with database.writing() as connection:
            for user, more in ((ann, 5), (bob, -5)):
                change = update(HOURS).where(SECOND, HOURS.c.user == user)
                cost = HOURS.c.cost_nanos + more
                changed = await connection.execute(change.values(cost_nanos=cost))
                assert changed.rowcount

        faults = await faults_of(database)

    assert ann != bob
    assert faults == [differs(3)]


async def test_sums_that_are_taken_out_or_put_in_are_named(ledger_url):
    nobody = dict.fromkeys((*LABEL_COLUMNS, *COUNT_COLUMNS), 0)
    async with summed_books(ledger_url) as database:
        await tamper(database, delete(HOURS).where(SECOND))
        for hours in (-500, 0, 50, 400):
            moment = (FIRST + hours * AN_HOUR) * 1_000
            await tamper(database, insert(HOURS).values(booked_time=moment, **nobody))

        faults = await faults_of(database)

    assert faults == [differs(hours) for hours in (-500, 0, 3, 50, 400)]


@pytest.mark.parametrize("moment", [-(2**63), -1, 2**63 - 1])
async def test_sums_of_a_moment_that_no_calendar_has_are_named(ledger_url, moment):
    nobody = dict.fromkeys((*LABEL_COLUMNS, *COUNT_COLUMNS), 0)
    async with summed_books(ledger_url) as database:
        await tamper(database, insert(HOURS).values(booked_time=moment, **nobody))

        faults = await faults_of(database)

    assert len(faults) == 1
    assert "are not those of its lines" in faults[0].message


async def test_lines_that_are_said_to_be_summed_up_and_are_not_are_named(ledger_url):
    async with summed_books(ledger_url) as database:
        await SqlLedger(database).append(usage(20, 3))
        moved = update(SUMMED).where(SUMMED.c.shard == 3)
        await tamper(database, moved.values(sequence=SUMMED.c.sequence + 1))

        faults = await faults_of(database)

    assert faults == [differs(3)]


async def test_lines_that_would_be_summed_up_twice_are_named(ledger_url):
    async with summed_books(ledger_url) as database:
        before = await rows(database, SUMMED)
        moved = update(SUMMED).where(SUMMED.c.shard == 3)
        await tamper(database, moved.values(sequence=SUMMED.c.sequence - 1))
        one_less = await faults_of(database)
        await restore(database, SUMMED, before)
        await tamper(database, delete(SUMMED).where(SUMMED.c.shard == 3))
        without_a_chain = await faults_of(database)
        await tamper(database, delete(SUMMED))

        without_any = await faults_of(database)

    assert one_less == [differs(100)]
    assert without_a_chain == without_any == [differs(hours) for hours in TIMES]


@pytest.mark.parametrize(
    "change",
    [
        update(SUMMED).where(SUMMED.c.shard == 3).values(sequence=9),
        insert(SUMMED).from_select(
            ["shard", "sequence", "mark"],
            select(SUMMED.c.shard + 1, SUMMED.c.sequence, SUMMED.c.mark).where(SUMMED.c.shard == 3),
        ),
    ],
    ids=["a chain", "a chain that is none"],
)
async def test_what_is_said_to_be_summed_up_beyond_a_head_is_named(ledger_url, change):
    async with summed_books(ledger_url) as database:
        await tamper(database, change)

        faults = await faults_of(database)

    assert faults in ([passing(3)], [passing(4)])


async def test_a_head_that_is_taken_back_behind_the_sums_is_named(ledger_url):
    async with summed_books(ledger_url) as database:
        await tamper(database, delete(HEADS).where(HEADS.c.shard == 5))

        faults = await faults_of(database)

    assert passing(5) in faults


async def test_lines_that_are_not_summed_up_yet_are_no_fault(ledger_url):
    async with summed_books(ledger_url) as database:
        await SqlLedger(database).append(usage(20, 0))
        await SqlLedger(database).append(usage(21, 7, shard=9))
        before = await faults_of(database)
        await Hours(database, most_entries=1).advance()
        between = await faults_of(database)
        await sum_up(database)

        after = await faults_of(database)

    assert (before, between, after) == ([], [], [])


async def test_nothing_that_was_never_summed_up_is_a_fault(ledger_url):
    async with database_at(ledger_url) as database:
        await SqlLedger(database).append(usage(1, 0))

        faults = await faults_of(database)

    assert faults == []


@pytest.mark.parametrize(("verb", "name"), [("erase_user", "bob"), ("erase_organization", "acme")])
async def test_what_was_erased_is_no_fault(ledger_url, verb, name):
    async with summed_books(ledger_url) as database:
        await getattr(SqlEraser(CheckedDatabase(database)), verb)(name, "root")
        before = await faults_of(database)
        await sum_up(database)

        after = await faults_of(database)
        await tamper(database, insert(HOURS).values(dict.fromkeys(COLUMNS, HOUR)))

        assert (before, after) == ([], [])
        assert len(await faults_of(database)) == 1


async def test_what_was_dropped_is_no_fault(ledger_url):
    async with summed_books(ledger_url) as database:
        end = (FIRST + 2 * AN_HOUR) * 1_000
        await SqlAgingBooks(CheckedDatabase(database)).drop_before(end, lambda _: None)
        before = await faults_of(database)
        await sum_up(database)
        after = await faults_of(database)
        await tamper(database, update(HOURS).where(SECOND).values(requests=9))

        assert (before, after) == ([], [])
        assert await faults_of(database) == [differs(3)]


async def test_sums_that_reports_pass_over_are_passed_over(ledger_url):
    async with summed_books(ledger_url) as database:
        await tamper(database, update(HOURS).values(requests=9))
        await tamper(database, update(SUMMED).values(mark="of an earlier version"))

        faults = await faults_of(database)
        await sum_up(database)

        assert faults == []
        assert await faults_of(database) == []
        assert 9 not in {row["requests"] for row in await rows(database, HOURS)}


@pytest.mark.parametrize("size", [1, 3, 0])
async def test_pages_of_any_size_find_the_same_hours(ledger_url, size):
    async with summed_books(ledger_url) as database:
        await tamper(database, update(HOURS).values(requests=HOURS.c.requests + 1))
        await tamper(database, update(SUMMED).where(SUMMED.c.shard == 3).values(sequence=9))

        pages = await all_pages(database, size)

    found = [fault for page in pages for fault in page.faults]
    assert found == [passing(3), *(differs(hours) for hours in TIMES)]
    assert sum(page.entry_count for page in pages) == 2 * len(TIMES)


async def test_a_part_is_a_day_at_most_or_about_so_many_lines(ledger_url):
    start = FIRST * 1_000
    usages = list(generated(Company(start, days=3, organizations=1, users=3, keys=4), 150))
    async with database_at(ledger_url) as database:
        await SqlLedger(database).append(usages)
        await sum_up(database)
        books = SqlBooks(CheckedDatabase(database))

        days = await parts_of(books, 1_000)
        some = await parts_of(books, 20)
        least = await parts_of(books, 1)
        hours = {row["booked_time"] for row in await rows(database, HOURS)}
        lines = len(await rows(database, LINES))

    assert len(days) == 3
    assert 3 < len(some) < len(least) == len(hours)
    for parts in (days, some, least):
        assert sum(part.line_count for part in parts) == lines
        assert {(part.last + 1) % HOUR for part in parts} == {0}
        assert not any(part.differing for part in parts)
    a_most = max(part.line_count for part in least)
    assert all(part.line_count <= max(20, a_most) for part in some)


async def parts_of(books, count):
    """All parts, but for the last, which says that nothing follows."""
    parts = [await books.hours(None, count)]
    while parts[-1].last is not None:
        parts.append(await books.hours(parts[-1].last, count))
    return parts[:-1]


class SummingUp(CheckedDatabase):
    """One that is summed up behind each transaction that writes, and breaks down after some."""

    def __init__(self, database, breaks_at):
        super().__init__(database)
        self._behind = database
        self._left = breaks_at

    @asynccontextmanager
    async def writing(self):
        async with super().writing() as connection:
            yield connection
        await sum_up(self._behind)
        self._left -= 1
        if self._left == 0:
            raise ServiceUnavailableError("broken down")


@pytest.mark.parametrize("breaks_at", [1, 2, 3])
async def test_lines_that_go_after_their_content_are_in_no_sum(ledger_url, breaks_at):
    """An organization is erased of which a user had been erased, and that breaks off."""
    async with summed_books(ledger_url) as database:
        for user in ("ann", "bob"):
            await SqlEraser(CheckedDatabase(database)).erase_user(user, "root")
        broken = SqlEraser(SummingUp(database, breaks_at))
        with pytest.raises(ServiceUnavailableError):
            await broken.erase_organization("acme", "root")

        assert await faults_of(database) == []
