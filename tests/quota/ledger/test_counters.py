"""Which counters are compared, what entries add to them, and what the ledger's sums say of them."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quota.ledger.audits import audit_at
from quota.ledger.databases import migrated_sqlite
from quota.ledger.meddling import spend
from quota.ledger.usage import adjusted, charge, database_at, entries, record, told
from quota.worlds import BEGINNING
from sqlalchemy import update

from meshgate.limits.limit import WindowUnit
from meshgate.quota.ledger.books import Booked, LedgerBooks, Waiting
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.counters import (
    Counter,
    CounterName,
    Noted,
    Used,
    Wanted,
    Window,
    counters_in,
    shares_of,
    window_of,
)
from meshgate.quota.ledger.entries import EntryKind
from meshgate.quota.ledger.schema import COUNTERS
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.shards import shard_of
from meshgate.quota.windows import calendar_bounds
from meshgate.v1.usage_pb2 import Usage

MOMENT = BEGINNING
DAY = calendar_bounds(WindowUnit.DAY, "UTC", MOMENT)


def named(rule: str, partition: str = "acme", subject: str = "key/k1") -> CounterName:
    return CounterName(partition, subject, rule)


@pytest.mark.parametrize(
    "rule",
    [
        "requests/minute/rolling",
        "cost/month/rolling",
        "tokens/hour/calendar/UTC",
        "concurrency",
        "requests/day/calendar/Atlantis/Lost",
        "apples/day/calendar/UTC",
        "requests/decade/calendar/UTC",
    ],
)
def test_what_rolls_or_is_short_or_unknown_is_not_compared(rule):
    assert window_of(named(rule), MOMENT) is None


def test_days_and_longer_by_the_calendar_and_totals_are_compared():
    day = window_of(named("requests/day/calendar/UTC"), MOMENT)
    total = window_of(named("cost/total"), MOMENT)

    assert day == Window(DAY.start, DAY.end, DAY.previous)
    assert total == Window()


@pytest.mark.parametrize(
    ("name", "is_exact"),
    [
        (named("requests/total"), True),
        (CounterName("everyone", "everyone", "requests/total"), True),
        (CounterName("target/a/b", "target/a/b", "cost/total"), True),
        (CounterName("target/a/b", "target/a/b", "requests/total"), False),
        (CounterName("model/m", "model/m", "cost/total"), False),
        (named("apples/total"), False),
    ],
)
def test_what_the_books_cannot_say_is_known(name, is_exact):
    assert name.is_kept_exactly is is_exact


def test_what_is_held_is_not_spent_and_earlier_windows_do_not_count():
    counter = Counter(0, ((DAY.previous, 50, 0), (DAY.start, 7, 3)))

    assert counter.spent(Window(DAY.start, DAY.end, DAY.previous)) == 4


def test_counters_of_older_versions_do_not_say_since_when_they_count():
    packed = b"\x82\xa1a\x93\x00\x90\x93\x00\x05\x02\xa1b\x94\x00\x90\x90\x09"

    assert counters_in(packed) == {"a": Counter(0, ((0, 5, 2),)), "b": Counter(9)}
    assert counters_in(b"") == {}


def test_what_is_no_record_adds_nothing():
    assert shares_of(EntryKind.SETTLED, b"\xff\xff") == ()
    assert shares_of(EntryKind.UNREADABLE, b"") == ()


NAMES = st.sampled_from(["a", "b", "c/d", ""])
NUMBERS = st.integers(0, 1_000)
CHARGES = st.builds(
    lambda model, tokens, written, cost: charge(
        cost, model=model, usage=Usage(input_tokens=tokens, output_tokens=written)
    ),
    st.sampled_from(["gpt-1", "gpt-2"]),
    NUMBERS,
    NUMBERS,
    st.none() | NUMBERS,
)
SETTLED = st.builds(
    lambda charges, **more: ("settled", charges, more),
    st.lists(CHARGES, max_size=3),
    organization_id=st.sampled_from(["acme", "other"]),
    key_id=NAMES,
    user_id=NAMES,
    team_id=NAMES,
    model=st.sampled_from(["small", "large"]),
    tags=st.dictionaries(st.sampled_from(["x", "y"]), NAMES, max_size=2),
)
ADJUSTED = st.builds(
    lambda kind, partition, subjects: (kind, partition, sorted(subjects)),
    st.sampled_from([b"abandoned", b"returned"]),
    st.sampled_from([b"acme", b"everyone", b"model/small"]),
    st.sets(st.sampled_from(["key/a", "user/b", "team/a", "tag/x=a", "organization/acme"])),
)


def as_told(number: int, made):
    """An entry of the stream of the shard that it lies in."""
    if made[0] != "settled":
        kind, partition, subjects = made
        wide = partition.decode()
        of = subjects if wide == "acme" else [wide]
        told_of = {"partition": partition, "subjects": of, "cause": f"settled/{number}".encode()}
        return adjusted(number, kind, shard=shard_of(wide), **told_of)
    _, charges, more = made
    shard = shard_of(more["organization_id"])
    return told(number, record(f"h{number}", *charges, **more), shard=shard)


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory):
    """To be copied: making one takes longer than all that is done with it."""
    file = tmp_path_factory.mktemp("books") / "ledger.sqlite"
    migrated_sqlite(file)
    return file


@settings(max_examples=10)
@given(made=st.lists(SETTLED | ADJUSTED, min_size=1, max_size=8), written=st.integers(0, 8))
def test_the_sums_of_the_ledger_are_what_its_entries_add_to_counters(empty_ledger, made, written):
    """Whatever is in the ledger, and whatever still waits."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "ledger.sqlite"
        shutil.copy(empty_ledger, file)
        asyncio.run(check_sums(f"sqlite:///{file}", made, written))


def test_sums_are_the_same_in_every_database(ledger_url):
    charges = [charge(7), charge(None, model="gpt-2"), charge(9)]
    requests = {"organization_id": "acme", "key_id": "a", "model": "small", "tags": {"x": "a"}}
    made = [
        ("settled", charges, requests),
        ("settled", [], requests | {"key_id": "b", "team_id": "", "tags": {"x": "a", "y": "b"}}),
        (b"abandoned", b"acme", ["key/a", "tag/x=a"]),
        (b"returned", b"acme", ["key/b"]),
        (b"abandoned", b"everyone", []),
        ("settled", charges[:1], requests | {"organization_id": "other"}),
    ]

    for written in (0, 4, 6):
        asyncio.run(check_sums(ledger_url, made, written))


async def check_sums(url: str, made, written: int) -> None:
    all_told = [as_told(number, one) for number, one in enumerate(made)]
    expected: dict[tuple[str, str], Used] = {}
    for entry in entries(*all_told):
        for share in shares_of(entry.kind, entry.content):
            expected[share.place] = expected.get(share.place, Used()) + share.used
    wanted = [
        Wanted(CounterName(*place, "cost/total"), 0) for place in [*expected, ("no", "key/k")]
    ]
    async with database_at(url) as database:
        await SqlLedger(database).append(entries(*all_told[:written]))
        books = LedgerBooks(CheckedDatabase(database))
        # Some of what is written has not been dropped from the stream.
        waiting = [Waiting(entry) for entry in entries(*all_told[written // 2 :])]

        sight = await books.look(wanted, waiting, await books.heads())

    found = {one.name.place: booked for one, booked in sight.booked.items()}
    assert {place: booked.least for place, booked in found.items()} == expected | {
        ("no", "key/k"): Used()
    }
    assert all(booked.least == booked.most for booked in found.values())


async def test_what_comes_while_counters_are_read_makes_a_span(tmp_path):
    url = await asyncio.to_thread(migrated_sqlite, tmp_path / "ledger.sqlite")
    shard = shard_of("acme")
    new = told(1, record("h1", charge(7)), shard=shard)
    back = adjusted(2, b"returned", shard=shard)
    wanted = Wanted(CounterName("acme", "key/k1", "cost/total"), 0)
    async with database_at(url) as database:
        books = LedgerBooks(CheckedDatabase(database))
        await SqlLedger(database).append(entries(new, back))

        sight = await books.look([wanted], [], {shard: 0})

    assert sight.booked[wanted] == Booked(Used(-1, -20, -30, -40), Used(1, 10, 5, 7))


async def noted_with(audit, since: int, seen: int, name: CounterName) -> Noted:
    """What is noted anew of a counter that was noted so before."""
    await audit.noted.note()
    async with audit.database.writing() as connection:
        rows = (COUNTERS.c.subject == name.subject) & (COUNTERS.c.rule == name.rule)
        await connection.execute(update(COUNTERS).where(rows).values(since=since, seen=seen))
    await audit.noted.note()
    return next(one for one in await audit.noted.page(None, 1_000) if one.name == name)


@pytest.mark.usefixtures("quick_disk")
async def test_a_counter_that_is_back_counts_from_where_it_began_if_it_was_lost(valkey, ledger_url):
    name = CounterName("org-1", "key/k1", "requests/day/calendar/UTC")
    total = CounterName("org-1", "organization/org-1", "cost/total")
    async with database_at(ledger_url) as database, audit_at(valkey, database) as audit:
        await spend(audit, "a", wide=False)
        now = audit.world.clock()

        lost = await noted_with(audit, 5, DAY.previous, name)
        limit_was_gone = await noted_with(audit, 5, DAY.previous - 1, name)
        lost_total = await noted_with(audit, 5, 7, total)

    assert lost == Noted(name, 5, now)
    assert limit_was_gone == Noted(name, now, now)
    assert lost_total == Noted(total, 5, now)
