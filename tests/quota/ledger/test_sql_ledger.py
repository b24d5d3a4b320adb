import asyncio
import secrets
from datetime import UTC, datetime

import pytest
from quota.ledger.databases import execute, new_postgres
from quota.ledger.usage import (
    MOMENT,
    adjusted,
    adjustment_id,
    charge,
    check_books,
    database_at,
    entries,
    ids_of,
    named_lines,
    record,
    rows,
    told,
)
from sqlalchemy import text

from meshgate.database.database import Database
from meshgate.database.migration import migrate
from meshgate.quota.ledger.entries import Entry, EntryKind
from meshgate.quota.ledger.keeper import LedgerRefusedError
from meshgate.quota.ledger.lines import Line
from meshgate.quota.ledger.months import bounds_of, month_of
from meshgate.quota.ledger.schema import ENTRIES, LABELS, LINES, SCHEMA
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.runtime.errors import ServiceUnavailableError

DAY_MS = 86_400_000


def some(count: int, begin: int = 0, shards: int = 2) -> list[Entry]:
    return entries(
        *(told(n, record(f"h{n}", charge()), shard=n % shards) for n in range(begin, begin + count))
    )


async def test_entries_are_chained_in_their_shards_and_counted_in_lines(ledger_url):
    async with database_at(ledger_url) as database:
        ledger = SqlLedger(database)

        first = await ledger.append(entries(told(1, record("h1", charge(30), charge(None)))))
        second = await ledger.append(entries(told(2, record("h2")), adjusted(3, b"abandoned")))

        assert (len(first.entries), len(second.entries)) == (1, 2)
        assert await check_books(database) == [
            adjustment_id("abandoned", "grant", "settled/0"),
            "h1",
            "h2",
        ]
        lines = await named_lines(database)
    assert [(line["sequence"], line["number"]) for line in lines] == [
        (1, 0),
        (1, 1),
        (2, 0),
        (3, 0),
    ]
    assert [line["requests"] for line in lines] == [1, 0, 1, 1]
    assert [line["cost_nanos"] for line in lines] == [30, 0, 0, 40]
    assert {line["organization"] for line in lines} == {"acme"}
    assert [line["target"] for line in lines] == ["openai/gpt-1", "openai/gpt-1", "", ""]
    assert {line["booked_time"] for line in lines} == {MOMENT * 1_000}


async def test_what_is_told_again_comes_in_once(ledger_url):
    async with database_at(ledger_url) as database:
        ledger = SqlLedger(database)
        await ledger.append(some(3))

        again = await ledger.append([*some(5), *some(5)])

        assert ids_of(again.entries) == ["h3", "h4"]
        assert again.repeated == 8
        assert await check_books(database) == ["h0", "h1", "h2", "h3", "h4"]


async def test_several_who_append_the_same_at_once_write_it_once(ledger_url):
    async with database_at(ledger_url) as one, database_at(ledger_url) as other:
        ledgers = [SqlLedger(one), SqlLedger(other)]
        batches = [some(20, begin, shards=5) for begin in (0, 10, 0, 20)]

        appended = await asyncio.gather(
            *(ledgers[n % 2].append(batch) for n, batch in enumerate(batches))
        )

        written = [entry for each in appended for entry in each.entries]
        assert ids_of(written) == ids_of(some(40))
        assert await check_books(one) == ids_of(some(40))


@pytest.mark.parametrize("line", [Line(cost_nanos=2**63), Line(output_tokens=-(2**80))])
async def test_a_transaction_that_fails_leaves_nothing(ledger_url, line):
    impossible = Entry(0, "impossible", EntryKind.SETTLED, MOMENT * 1_000, b"", (line,))
    async with database_at(ledger_url) as database:
        ledger = SqlLedger(database)

        with pytest.raises(LedgerRefusedError):
            await ledger.append([*some(2), impossible])

        assert await check_books(database) == []
        assert (await ledger.append(some(2))).repeated == 0
        assert await check_books(database) == ["h0", "h1"]


@pytest.mark.parametrize("entry_id", ["a\0b", secrets.token_hex(10_000)])
async def test_what_only_postgresql_cannot_hold_is_refused_and_not_tried_for_ever(
    ledger_postgres, entry_id
):
    name = f"ledger_refused_{len(entry_id)}"
    url = await asyncio.to_thread(new_postgres, ledger_postgres, name)
    impossible = Entry(0, entry_id, EntryKind.SETTLED, MOMENT * 1_000, b"")
    async with database_at(url) as database:
        with pytest.raises(LedgerRefusedError):
            await SqlLedger(database).append([*some(2), impossible])

        assert await check_books(database) == []


async def test_tables_that_are_not_as_they_should_be_are_no_fault_of_the_entries(ledger_url):
    async with database_at(ledger_url) as database:
        ledger = SqlLedger(database)
        await ledger.append(some(1))
        await rename(database, "ledger_lines", "elsewhere")

        with pytest.raises(ServiceUnavailableError):
            await ledger.append(some(1, 1))

        await rename(database, "elsewhere", "ledger_lines")
        assert ids_of((await ledger.append(some(1, 1))).entries) == ["h1"]


async def rename(database: Database, table: str, name: str) -> None:
    async with database.writing() as connection:
        await connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


async def test_names_keep_their_numbers_over_processes(ledger_url):
    async with database_at(ledger_url) as database:
        await SqlLedger(database).append(some(1))
        await SqlLedger(database).append(some(1, 1))

        labels = [(row["kind"], row["text"]) for row in await rows(database, LABELS)]

    assert sorted(labels) == [
        *((1, "acme"), (2, "red"), (3, "ann"), (4, "k1"), (5, "small"), (6, "openai/gpt-1"))
    ]


async def test_names_that_databases_hardly_take_are_taken(ledger_url):
    odd = record("h", model="\x00'\"" + "ä" * 5_000, tags={f"t{n}": "x" * 500 for n in range(9)})
    async with database_at(ledger_url) as database:
        await SqlLedger(database).append(entries(told(1, odd)))

        (line,) = await named_lines(database)

    assert line["model"].startswith("\ufffd'\"ä")
    assert line["tags"].startswith('{"t0":"xxx')


async def test_entries_of_several_months_find_their_place(ledger_url):
    moments = [MOMENT + days * DAY_MS for days in (0, 40, 120)]
    async with database_at(ledger_url) as database:
        ledger = SqlLedger(database)

        await ledger.append(
            entries(*(told(n, record(f"h{n}"), grant_time=at) for n, at in enumerate(moments)))
        )

        assert [row["booked_time"] for row in await rows(database, LINES)] == [
            moment * 1_000 for moment in moments
        ]
        assert await check_books(database) == ["h0", "h1", "h2"]


async def test_months_that_others_make_at_the_same_time_are_made_once(ledger_postgres):
    url = await asyncio.to_thread(new_postgres, ledger_postgres, "ledger_months")
    async with database_at(url) as one, database_at(url) as other:
        await asyncio.gather(SqlLedger(one).append(some(2)), SqlLedger(other).append(some(2, 2)))

        async with one.reading() as connection:
            query = text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
            made = sorted((await connection.execute(query)).scalars())
    assert made == ["ledger_entries_2026_09", "ledger_lines_2026_09"]


async def test_a_month_that_was_dropped_meanwhile_is_made_again(ledger_postgres):
    url = await asyncio.to_thread(new_postgres, ledger_postgres, "ledger_dropped_month")
    async with database_at(url) as database:
        ledger = SqlLedger(database)
        await ledger.append(some(1))
        await execute(url, "DROP TABLE ledger_entries_2026_09, ledger_lines_2026_09")

        appended = await ledger.append(some(1, 1))

        assert ids_of(appended.entries) == ["h1"]
        assert [row["entry_id"] for row in await rows(database, ENTRIES)] == ["h1"]


async def test_a_ledger_that_is_away_is_unavailable(tmp_path):
    async with database_at(f"sqlite:///{tmp_path / 'none.sqlite'}") as database:
        with pytest.raises(ServiceUnavailableError, match="meshgate migrate"):
            await SqlLedger(database).append(some(1))


async def test_a_ledger_whose_tables_are_made_later_is_written_then(tmp_path):
    url = f"sqlite:///{tmp_path / 'late.sqlite'}"
    async with database_at(url) as database:
        ledger = SqlLedger(database)
        with pytest.raises(ServiceUnavailableError):
            await ledger.append(some(1))

        await migrate(SCHEMA, url)

        assert ids_of((await ledger.append(some(1))).entries) == ["h0"]


async def test_a_ledger_that_somebody_has_locked_is_unavailable(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    await migrate(SCHEMA, url)
    holder = Database(SCHEMA, url)
    async with database_at(url, wait_seconds=0.1) as database:
        ledger = SqlLedger(database)
        async with holder.writing():
            with pytest.raises(ServiceUnavailableError):
                await ledger.append(some(1))

        assert ids_of((await ledger.append(some(1))).entries) == ["h0"]
    await holder.close()


@pytest.mark.parametrize(("year", "month"), [(2026, 1), (2026, 11), (2026, 12), (2028, 2)])
def test_a_month_begins_where_the_one_before_ends(year, month):
    begin, end = bounds_of((year, month))

    assert begin == int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 10**6
    assert month_of(begin) == month_of(end - 1) == (year, month)
    assert month_of(begin - 1) != (year, month) != month_of(end)
