import re

import pytest
from quota.ledger.books import Restoring, all_pages, some_books, tamper, verify_all
from quota.ledger.usage import charge, database_at, entries, record, told
from sqlalchemy import delete, insert, select, update

from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.labels import Kind
from meshgate.quota.ledger.schema import (
    COUNTERS,
    ENTRIES,
    ERASURES,
    HEADS,
    HOURS,
    IDS,
    LABELS,
    LINES,
    METADATA,
    STARTS,
    SUMMED,
)
from meshgate.quota.ledger.sql_books import SqlBooks
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.verification import Verifier
from meshgate.runtime.errors import InvalidRequestError, ServiceUnavailableError

OTHER = b"\x01" * 32
AMOUNTS = [
    *("requests", "cache_hits", "input_tokens", "cached_input_tokens"),
    *("cache_creation_input_tokens", "output_tokens", "reasoning_tokens", "cost_nanos"),
    *("unpriced_charges", "estimated_charges", "saved_cost_nanos", "saved_tokens", "outcome"),
]
NAMES = [kind.name.lower() for kind in Kind]
MOVED = "there are lines for it|it has lines numbered"
# Of the second entry of shard 3: its columns, what is written into each, and what is told then.
CHANGES = [
    (ENTRIES, "shard", 9, "it is missing"),
    (ENTRIES, "sequence", 77, "it is missing"),
    (ENTRIES, "booked_time", ENTRIES.c.booked_time + 1, "its link does not follow"),
    (ENTRIES, "entry_id", "h9", "its link does not follow"),
    (ENTRIES, "kind", 2, "its link does not follow"),
    (ENTRIES, "content", b"\x0a\x02h9", "its content does not have its digest"),
    (ENTRIES, "content", b"\xff", "cannot be read"),
    (ENTRIES, "digest", OTHER, "its content does not have its digest"),
    (ENTRIES, "chain", OTHER, "its link does not follow"),
    (LINES, "shard", 9, MOVED),
    (LINES, "sequence", 77, MOVED),
    (LINES, "number", LINES.c.number + 5, MOVED),
    (LINES, "booked_time", LINES.c.booked_time + 1, MOVED),
    *(
        (LINES, name, LINES.c[name] + 1, f"not what its content gives: .*{name}")
        for name in AMOUNTS
    ),
    *((LINES, name, 4_711, f"not what its content gives: .*{name}") for name in NAMES),
    (IDS, "entry_id", "h9", "its id is not among the ids"),
    (IDS, "shard", 9, "its id leads to another place"),
    (IDS, "sequence", 77, "its id leads to another place"),
    (IDS, "booked_time", IDS.c.booked_time + 1, "its id leads to another place"),
]

# What else may be done to books, and of which entries something is told then.
OTHER_CHANGES = [
    (delete(ENTRIES).where(ENTRIES.c.shard == 3, ENTRIES.c.sequence.in_([2, 3])), [(3, 2)]),
    (delete(ENTRIES).where(ENTRIES.c.shard == 3, ENTRIES.c.sequence == 5), [(3, 5)]),
    (delete(ENTRIES).where(ENTRIES.c.shard == 3, ENTRIES.c.sequence == 1), [(3, 1)]),
    (delete(LINES).where(LINES.c.shard == 3, LINES.c.sequence == 2), [(3, 2)]),
    (delete(IDS).where(IDS.c.entry_id == "h2"), [(3, 2)]),
    (delete(HEADS).where(HEADS.c.shard == 3), [(3, 1)]),
    (update(HEADS).where(HEADS.c.shard == 3).values(sequence=4), [(3, 5)]),
    (update(HEADS).where(HEADS.c.shard == 3).values(sequence=9), [(3, 6)]),
    (update(HEADS).where(HEADS.c.shard == 3).values(chain=OTHER), [(3, 5)]),
    (update(HEADS).where(HEADS.c.shard == 3).values(shard=4), [(3, 1), (4, 1)]),
    (insert(HEADS).values(shard=4, sequence=1, chain=OTHER), [(4, 1)]),
    (insert(STARTS).values(shard=3, sequence=0, chain=OTHER), [(3, 0), (3, 1)]),
    (insert(STARTS).values(shard=3, sequence=1, chain=OTHER), [(3, 1), (3, 2)]),
    (insert(STARTS).values(shard=5, sequence=9, chain=OTHER), [(5, 1), (5, 2), (5, 3), (5, 4)]),
    (insert(STARTS).values(shard=7, sequence=2, chain=OTHER), [(7, 1)]),
    (insert(IDS).values(entry_id="x", shard=3, sequence=9, booked_time=1), [(3, 9)]),
    (update(LABELS).where(LABELS.c.text == "ann").values(text="eve"), [(3, 1), (3, 2)]),
    (update(LABELS).where(LABELS.c.text == "ann").values(kind=9), [(3, 1), (3, 2)]),
    (update(LABELS).where(LABELS.c.text == "ann").values(label_id=99), [(3, 1), (3, 2)]),
    (delete(LABELS).where(LABELS.c.text == "ann"), [(3, 1), (3, 2)]),
]


async def test_books_that_nobody_touched_are_without_fault(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)

        verified = await verify_all(database)

    assert verified.faults == []
    assert (verified.entry_count, verified.erased_count) == (8, 0)
    assert [(head.shard, head.sequence) for head in verified.heads] == [(3, 5), (5, 3)]


async def test_a_ledger_of_which_nothing_is_there_is_without_fault(ledger_url):
    async with database_at(ledger_url) as database:
        verified = await verify_all(database)

    assert (verified.faults, verified.entry_count, verified.heads) == ([], 0, [])


async def test_whatever_is_changed_of_an_entry_is_named(ledger_url):
    unnamed = []
    async with database_at(ledger_url) as database:
        books = Restoring(database)
        await books.begin()
        for table, column, value, message in CHANGES:
            where = table.c.entry_id == "h2" if table is IDS else second(table)

            faults = await books.faults_of(update(table).where(where).values({column: value}))

            told_of = [fault for fault in faults if (fault.shard, fault.sequence) == (3, 2)]
            if not any(re.search(message, fault.message) for fault in told_of):
                unnamed.append((table.name, column, faults))
        assert (await verify_all(database)).faults == []
    assert unnamed == []


def test_every_column_of_an_entry_was_changed():
    changed = {(table.name, column) for table, column, *_ in CHANGES}

    assert changed == {(t.name, column.name) for t in (ENTRIES, LINES, IDS) for column in t.columns}


async def test_what_is_taken_out_put_in_or_moved_is_named(ledger_url):
    unnamed = []
    async with database_at(ledger_url) as database:
        books = Restoring(database)
        await books.begin()
        for change, expected in OTHER_CHANGES:
            faults = await books.faults_of(change)

            if not set(expected) <= {(fault.shard, fault.sequence) for fault in faults}:
                unnamed.append((str(change), faults))
        assert (await verify_all(database)).faults == []
    assert unnamed == []


async def test_an_entry_that_is_put_in_is_named(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)
        async with database.reading() as connection:
            row = (
                (await connection.execute(select(ENTRIES).where(second(ENTRIES)))).mappings().one()
            )
        twice = {**row, "booked_time": row["booked_time"] + 1}
        behind = {**row, "sequence": 6, "entry_id": "h77"}
        await tamper(database, insert(ENTRIES).values(**twice))
        await tamper(database, insert(ENTRIES).values(**behind))

        faults = {
            (f.sequence, f.message.partition(":")[0]) for f in (await verify_all(database)).faults
        }

    assert (2, "there is more than one entry with this number") in faults
    assert (6, "it lies behind the head of its chain") in faults
    assert (6, "its id is not among the ids") in faults


async def test_what_is_changed_behind_a_page_does_not_make_the_next_one_wrong(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)
        verifier = Verifier(SqlBooks(CheckedDatabase(database)))
        first = await verifier.verify("", 2)
        await tamper(database, update(ENTRIES).where(second(ENTRIES)).values(chain=OTHER))

        second_page = await verifier.verify(first.next_page_token, 2)

        assert (first.faults, second_page.faults) == ([], [])
        assert (await verify_all(database)).faults != []


async def test_content_that_is_gone_without_an_erasure_is_named(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)
        await tamper(database, update(ENTRIES).where(second(ENTRIES)).values(content=None))

        verified = await verify_all(database)
        told_of = [fault.message for fault in verified.faults]
        await tamper(
            database, insert(ERASURES).values(time=1, kind=3, principal_id="root", entries=1)
        )

        assert told_of == ["1 entries have no content, and only 0 were erased on demand"]
        assert verified.erased_count == 1
        assert (await verify_all(database)).faults == []


@pytest.mark.parametrize(
    "change",
    [
        delete(LINES).where(LINES.c.shard == 3, LINES.c.sequence == 2, LINES.c.number == 0),
        update(LINES).where(LINES.c.shard == 3, LINES.c.sequence == 2).values(model=4_711),
        update(ENTRIES).where(ENTRIES.c.shard == 3, ENTRIES.c.sequence == 2).values(kind=2),
    ],
    ids=str,
)
async def test_of_what_was_erased_the_rest_is_still_looked_at(ledger_url, change):
    async with database_at(ledger_url) as database:
        await some_books(database)
        await tamper(
            database, insert(ERASURES).values(time=1, kind=3, principal_id="root", entries=1)
        )
        await tamper(database, update(ENTRIES).where(second(ENTRIES)).values(content=None))
        await tamper(database, change)

        faults = (await verify_all(database)).faults

    assert {(fault.shard, fault.sequence) for fault in faults} == {(3, 2)}


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_pages_of_any_size_find_the_same(ledger_url, size):
    changes = [
        update(LINES).where(second(LINES)).values(cost_nanos=1),
        delete(ENTRIES).where(ENTRIES.c.shard == 3, ENTRIES.c.sequence == 4),
        insert(IDS).values(entry_id="x", shard=3, sequence=9, booked_time=1),
    ]
    async with database_at(ledger_url) as database:
        await some_books(database)
        for change in changes:
            await tamper(database, change)

        pages = await all_pages(database, size)
        whole = await verify_all(database)

    assert [fault for page in pages for fault in page.faults] == whole.faults
    assert [head for page in pages for head in page.heads] == whole.heads
    assert sum(page.entry_count for page in pages) == whole.entry_count == 7
    assert all(page.entry_count <= size for page in pages)


async def test_what_comes_in_between_two_pages_is_looked_at_too(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)
        verifier = Verifier(SqlBooks(CheckedDatabase(database)))
        first = await verifier.verify("", 2)
        await SqlLedger(database).append(entries(told(90, record("later", charge()), shard=3)))

        rest = await verifier.verify(first.next_page_token, 0)

    assert (first.entry_count, rest.entry_count) == (2, 7)
    assert (first.faults, rest.faults, rest.next_page_token) == ([], [], "")


async def test_a_page_ends_when_it_takes_long(ledger_url):
    moments = iter(range(0, 1_000, 5))
    async with database_at(ledger_url) as database:
        await some_books(database)
        verifier = Verifier(SqlBooks(CheckedDatabase(database)), lambda: next(moments))

        page = await verifier.verify("", 0)
        pages = [page]
        while pages[-1].next_page_token:
            pages.append(await verifier.verify(pages[-1].next_page_token, 0))

    assert len(pages) > 2
    assert sum(page.entry_count for page in pages) == 8


@pytest.mark.parametrize("token", ["x", "AAAA", "é", "x" * 5_000])
async def test_a_token_that_was_not_given_out_is_refused(tmp_path, token):
    async with database_at(f"sqlite:///{tmp_path / 'none.sqlite'}") as database:
        with pytest.raises(InvalidRequestError, match="page token"):
            await Verifier(SqlBooks(CheckedDatabase(database))).verify(token, 0)


async def test_a_size_below_nothing_is_refused(tmp_path):
    async with database_at(f"sqlite:///{tmp_path / 'none.sqlite'}") as database:
        with pytest.raises(InvalidRequestError, match="-1"):
            await Verifier(SqlBooks(CheckedDatabase(database))).verify("", -1)


async def test_a_ledger_that_is_away_cannot_be_verified(tmp_path):
    async with database_at(f"sqlite:///{tmp_path / 'none.sqlite'}") as database:
        with pytest.raises(ServiceUnavailableError, match="meshgate migrate"):
            await Verifier(SqlBooks(CheckedDatabase(database))).verify("", 0)


async def test_faults_repeat_nothing_of_the_content(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)
        for table in (LINES, ENTRIES):
            columns = [column for column in table.columns if not column.primary_key]
            values = {
                column: b"ann" if column.name in {"content", "digest", "chain"} else 9
                for column in columns
            }
            values.pop(table.c.get("entry_id"), None)
            await tamper(database, update(table).where(second(table)).values(values))

        faults = (await verify_all(database)).faults

    assert faults
    assert not any("ann" in f.message or "acme" in f.message for f in faults)


def second(table):
    return (table.c.shard == 3) & (table.c.sequence == 2)


def test_no_table_was_left_out():
    """The counters can be made again, and are in no report; the sums by the hour have their own tests."""
    tables = {ENTRIES, LINES, IDS, LABELS, HEADS, STARTS, ERASURES}

    assert set(METADATA.tables.values()) - tables == {COUNTERS, HOURS, SUMMED}
