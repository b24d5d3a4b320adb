import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import execute
from prometheus_client import REGISTRY
from quota.ledger.books import verify_all
from quota.ledger.databases import migrated_sqlite, new_postgres
from quota.ledger.hourly import check_hours
from quota.ledger.usage import charge, database_at, entries, record, rows, told
from quota.worlds import no_peers
from sqlalchemy import text

from meshgate.quota.assembly import assemble
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.hours import Hours
from meshgate.quota.ledger.retention import Retention
from meshgate.quota.ledger.schema import ENTRIES, IDS, LINES
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_retention import SqlAgingBooks
from meshgate.quota.ledger.time_buckets import Span
from meshgate.quota.ledger.upkeep import opened_upkeep
from meshgate.quota.settings import Settings
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.errors import ServiceUnavailableError

DAY_MS = 86_400_000
JULY = int(datetime(2026, 7, 31, 12, tzinfo=UTC).timestamp()) * 1_000


def at(days: float) -> int:
    """So many days after noon of the last of July, in milliseconds."""
    return JULY + round(days * DAY_MS)


async def written(database, *days: float, shard: int = 3, begin: int = 0) -> None:
    """An entry of each of some days, in this order."""
    ledger = SqlLedger(database)
    for number, day in enumerate(days, begin):
        one = record(f"h{shard}-{number}", charge(), charge(None))
        await ledger.append(entries(told(number, one, shard=shard, grant_time=at(day))))


async def drop(database, day: float) -> list[int]:
    """Drop what is older than a day; how many each time."""
    counts: list[int] = []
    await SqlAgingBooks(CheckedDatabase(database)).drop_before(at(day) * 1_000, counts.append)
    return counts


async def left(database) -> list[tuple[int, int]]:
    """Shards and sequences that are there; all tables must agree on them."""
    places = [
        sorted({(row["shard"], row["sequence"]) for row in await rows(database, table)})
        for table in (ENTRIES, LINES, IDS)
    ]
    assert places[0] == places[1] == places[2]
    return places[0]


async def months(database) -> list[str]:
    query = text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
    async with database.reading() as connection:
        return sorted((await connection.execute(query)).scalars())


async def test_what_is_old_is_dropped_and_the_rest_holds_from_there(ledger_url):
    async with database_at(ledger_url) as database:
        await written(database, 0, 1, 2, 3, 4)
        await written(database, 0, 9, shard=5)

        counts = await drop(database, 2.5)

        assert sum(counts) == 4
        assert await left(database) == [(3, 4), (3, 5), (5, 2)]
        verified = await verify_all(database)
    assert (verified.faults, verified.entry_count) == ([], 3)


async def test_nothing_that_is_young_is_dropped(ledger_url):
    async with database_at(ledger_url) as database:
        await written(database, 5, 6)

        assert await drop(database, 5) == []
        assert await left(database) == [(3, 1), (3, 2)]


async def test_what_is_old_stays_behind_what_is_young(ledger_url):
    async with database_at(ledger_url) as database:
        await written(database, 0, 5, 1, 6)

        await drop(database, 3)
        first = await left(database)
        await drop(database, 5.5)

        assert first == [(3, 2), (3, 3), (3, 4)]
        assert await left(database) == [(3, 4)]
        assert (await verify_all(database)).faults == []


async def test_of_a_ledger_that_is_old_as_a_whole_the_chain_goes_on(ledger_url):
    async with database_at(ledger_url) as database:
        await written(database, 0, 1)
        await drop(database, 100)
        empty = await verify_all(database)

        await written(database, 101, begin=10)

        assert (empty.faults, empty.entry_count) == ([], 0)
        assert [(head.shard, head.sequence) for head in empty.heads] == [(3, 2)]
        assert await left(database) == [(3, 3)]
        assert (await verify_all(database)).faults == []


async def test_runs_are_bounded_and_all_of_them_go(ledger_url):
    many = [
        told(number, record(f"h{number}"), grant_time=at(number / 1_000)) for number in range(2_500)
    ]
    async with database_at(ledger_url) as database:
        await SqlLedger(database).append(entries(*many))

        counts = await drop(database, 2.2)

        assert sum(counts) == 2_200
        assert max(counts) <= 1_000
        assert len(await left(database)) == 300
        assert (await verify_all(database)).faults == []


async def test_what_is_dropped_twice_at_once_is_dropped_once(ledger_url):
    async with database_at(ledger_url) as one, database_at(ledger_url) as other:
        await written(one, *range(12))

        counts = await asyncio.gather(drop(one, 8.5), drop(other, 8.5))

        assert sum(map(sum, counts)) == 9
        assert (await verify_all(one)).faults == []


async def test_whole_months_are_dropped_with_what_of_later_ones_lies_among_them(ledger_postgres):
    url = await asyncio.to_thread(new_postgres, ledger_postgres, "ledger_old_months")
    async with database_at(url) as database:
        # July and August; one of August came before the last of July.
        await written(database, -1, 1, 0, 2, 40)
        await written(database, -3, 3, shard=5)

        counts = await drop(database, 1.5)

        assert counts == [4]
        assert await left(database) == [(3, 4), (3, 5), (5, 2)]
        assert await months(database) == [
            f"ledger_{table}_2026_{month}"
            for table in ("entries", "lines")
            for month in ("08", "09")
        ]
        assert (await verify_all(database)).faults == []


async def test_a_month_that_lies_behind_what_must_stay_goes_later(ledger_postgres):
    url = await asyncio.to_thread(new_postgres, ledger_postgres, "ledger_blocked_month")
    async with database_at(url) as database:
        await written(database, -1, 3, 0, 4)

        first = await drop(database, 1.5)
        before = await months(database)
        second = await drop(database, 3.5)

        assert (first, sum(second)) == ([1], 2)
        assert "ledger_entries_2026_07" in before
        assert "ledger_entries_2026_07" not in await months(database)
        assert await left(database) == [(3, 4)]
        assert (await verify_all(database)).faults == []


async def test_what_was_booked_late_keeps_no_later_month(ledger_postgres):
    url = await asyncio.to_thread(new_postgres, ledger_postgres, "ledger_late_entry")
    async with database_at(url) as database:
        # August and September, and twice July, which was long gone.
        await written(database, 3, -20, 4, 45, -21, 50)
        hours = Hours(database)
        await hours.advance()

        counts = await drop(database, 41)

        assert counts == [3]
        assert await left(database) == [(3, 4), (3, 5), (3, 6)]
        assert "ledger_entries_2026_08" not in await months(database)
        assert (await verify_all(database)).faults == []
        await check_hours(database, Span(at(-40) * 1_000, at(60) * 1_000))
        await drop(database, 46)
        assert "ledger_entries_2026_07" not in await months(database)
        await check_hours(database, Span(at(-40) * 1_000, at(60) * 1_000))


async def test_a_month_that_somebody_reads_goes_entry_by_entry(ledger_postgres):
    url = await asyncio.to_thread(new_postgres, ledger_postgres, "ledger_read_month")
    async with database_at(url) as database, database_at(url) as reader:
        await written(database, -2, -1, 3)
        async with reader.reading() as connection:
            await connection.execute(text("SELECT count(*) FROM ledger_entries"))
            counts = await drop(database, 1.5)

        assert counts == [2]
        assert await left(database) == [(3, 3)]
        assert "ledger_entries_2026_07" in await months(database)
        await drop(database, 1.5)
        assert "ledger_entries_2026_07" not in await months(database)
        assert (await verify_all(database)).faults == []


async def test_ids_of_a_month_that_was_dropped_are_no_fault_until_they_are_gone(ledger_postgres):
    url = await asyncio.to_thread(new_postgres, ledger_postgres, "ledger_ids_of_month")
    async with database_at(url) as database:
        await written(database, -1, 3)
        await drop(database, 1.5)
        await execute(url, "INSERT INTO ledger_ids SELECT 'late', 3, 1, 5")

        between = await verify_all(database)
        await drop(database, 1.5)

        assert between.faults == []
        assert await left(database) == [(3, 2)]


@pytest.mark.timeout(240)
@settings(max_examples=15)
@given(st.lists(st.integers(0, 20), max_size=12), st.lists(st.integers(0, 24), max_size=4))
def test_however_moments_lie_the_old_beginning_goes_and_the_rest_holds(
    tmp_path_factory, days, drops
):
    asyncio.run(check_runs(tmp_path_factory, days, sorted(drops)))


async def check_runs(tmp_path_factory, days, drops) -> None:
    url = await asyncio.to_thread(
        migrated_sqlite, tmp_path_factory.mktemp("runs") / "ledger.sqlite"
    )
    async with database_at(url) as database:
        await written(database, *days)
        kept = list(enumerate(days, 1))
        for day in drops:
            await drop(database, day)
            while kept and kept[0][1] < day:
                del kept[0]

            assert await left(database) == [(3, sequence) for sequence, _ in kept]
            assert (await verify_all(database)).faults == []


class Aging:
    """Books that are away at first."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def drop_before(self, booked_time, dropped) -> None:
        self.asked.append(booked_time)
        if len(self.asked) == 1:
            raise ServiceUnavailableError("away")
        dropped(7)


async def test_it_is_looked_for_what_is_old_again_and_again():
    books, pauses, enough = Aging(), [], asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            enough.set()
            await asyncio.Event().wait()

    before = REGISTRY.get_sample_value("meshgate_ledger_dropped_total")
    task = asyncio.create_task(Retention(books, 100.0, lambda: 300.0, sleep).keep())
    await enough.wait()
    task.cancel()

    assert books.asked == [200_000_000] * 3
    assert REGISTRY.get_sample_value("meshgate_ledger_dropped_total") == before + 14


@pytest.mark.parametrize(
    ("value", "seconds"), [("1d", 86_400.0), ("400d", 34_560_000.0), ("", None), ("0s", None)]
)
def test_the_retention_is_read_from_the_environment(value, seconds):
    read = Settings.read(Environment({"REDIS_URL": "redis://a", "LEDGER_RETENTION": value}))

    assert read.ledger_retention_seconds == seconds


def test_a_retention_in_which_something_may_come_again_is_refused():
    with pytest.raises(SettingError, match="LEDGER_RETENTION must be 1d or more"):
        Settings.read(Environment({"REDIS_URL": "redis://a", "LEDGER_RETENTION": "23h"}))


@pytest.mark.parametrize(("retention", "is_kept"), [("30d", True), ("", False)])
async def test_the_service_drops_what_is_old_if_it_is_told_to(tmp_path, retention, is_kept):
    variables = {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "LEDGER_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.sqlite'}",
        "LEDGER_RETENTION": retention,
    }

    async with assemble(Environment(variables), no_peers()) as service:
        assert ("drop what is old from the ledger" in service.tasks) == is_kept


async def test_upkeep_verifies_erases_and_drops_in_one_database(ledger_url):
    async with database_at(ledger_url) as database:
        await written(database, 0, 1, 2)
    async with opened_upkeep(ledger_url, 5.0, 1.0) as upkeep:
        erased = await upkeep.erasing.erase_user("ann", "root")
        verified = await upkeep.verification.verify("", 0)
        await upkeep.retention.drop_once()
        after = await upkeep.verification.verify("", 0)

    assert (erased, verified.erased_count, verified.faults) == (3, 3, [])
    assert after.faults == []
