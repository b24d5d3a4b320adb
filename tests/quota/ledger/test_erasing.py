import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quota.ledger.books import some_books, verify_all
from quota.ledger.breaking import BreakingDatabase, InterruptedDatabase
from quota.ledger.usage import (
    adjusted,
    charge,
    database_at,
    entries,
    named_lines,
    record,
    rows,
    told,
)
from sqlalchemy import insert

from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.erasing import owned_keys
from meshgate.quota.ledger.labels import Kind
from meshgate.quota.ledger.schema import COUNTERS, ENTRIES, ERASURES, LABELS, METADATA
from meshgate.quota.ledger.sql_eraser import SqlEraser
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.stretches import Stretch, stretches
from meshgate.runtime.errors import InvalidRequestError, ServiceUnavailableError


def eraser_of(database):
    return SqlEraser(CheckedDatabase(database), lambda: 7.0)


async def told_of(database, name: str) -> list[str]:
    """The tables in which a name stands anywhere."""
    found = {
        table.name
        for table in METADATA.sorted_tables
        for row in await rows(database, table)
        for value in row.values()
        if (isinstance(value, str) and name in value)
        or (isinstance(value, bytes) and name.encode() in value)
    }
    return sorted(found)


async def sums(database) -> dict[str, int]:
    lines = await named_lines(database)
    return {
        name: sum(line[name] for line in lines)
        for name in ("requests", "cost_nanos", "input_tokens", "unpriced_charges")
    }


async def test_of_a_user_only_what_it_cost_is_left(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)
        before = await sums(database)

        erased = await eraser_of(database).erase_user("ann", "root")

        assert erased == 2
        assert await told_of(database, "ann") == await told_of(database, "k1") == []
        assert await sums(database) == before
        users = [line["user"] for line in await named_lines(database) if line["sequence"] <= 2]
        verified = await verify_all(database)
    assert {user.partition("/")[0] for user in users} == {"erased", "bob"}
    assert (verified.faults, verified.erased_count) == ([], 2)


async def test_of_others_nothing_is_touched(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)
        before = await rows(database, ENTRIES)

        await eraser_of(database).erase_user("ann", "root")

        after = await rows(database, ENTRIES)
    assert [row for row in after if row["entry_id"] not in {"h1", "h2"}] == [
        row for row in before if row["entry_id"] not in {"h1", "h2"}
    ]
    assert [row["chain"] for row in after] == [row["chain"] for row in before]


async def test_what_tells_only_of_a_users_key_tells_of_the_user(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)

        erased = await eraser_of(database).erase_user("bob", "root")

        assert erased == 4  # three requests, and what was abandoned under the key
        assert await told_of(database, "k2") == []
        assert (await verify_all(database)).faults == []


async def test_a_key_that_others_use_too_keeps_its_name(ledger_url):
    shared = [
        told(1, record("h1", charge(), key_id="shared")),
        told(2, record("h2", charge(), key_id="shared", user_id="bob")),
        adjusted(3, subjects=["key/shared"]),
    ]
    async with database_at(ledger_url) as database:
        await SqlLedger(database).append(entries(*shared))

        erased = await eraser_of(database).erase_user("ann", "root")

        assert erased == 1
        assert [line["key"] for line in await named_lines(database)] == ["shared"] * 3
        assert (await verify_all(database)).faults == []


async def test_all_of_an_organization_is_erased_and_nothing_of_another(ledger_url):
    other = record("o1", charge(70), organization_id="other", user_id="ann", key_id="k9")
    async with database_at(ledger_url) as database:
        await some_books(database)
        await SqlLedger(database).append(entries(told(20, other)))

        erased = await eraser_of(database).erase_organization("acme", "root")

        assert erased == 6
        assert [await told_of(database, name) for name in ("acme", "bob", "k1", "k2")] == [[]] * 4
        assert [line["cost_nanos"] for line in await named_lines(database)] == [70]
        names = {row["text"] for row in await rows(database, LABELS)}
        verified = await verify_all(database)
    assert names == {"other", "ann", "k9", "red", "small", "openai/gpt-1"}
    assert (verified.faults, verified.erased_count) == ([], 6)


async def test_what_was_erased_is_not_erased_again(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)
        eraser = eraser_of(database)

        erased = [
            await eraser.erase_user("ann", "root"),
            await eraser.erase_user("ann", "root"),
            await eraser.erase_organization("acme", "root"),
            await eraser.erase_organization("acme", "root"),
        ]

        assert (await verify_all(database)).faults == []
    assert erased == [2, 0, 4, 0]


async def test_the_ledger_says_when_by_whom_and_how_much_was_erased_but_not_whose(ledger_url):
    async with database_at(ledger_url) as database:
        await some_books(database)

        await eraser_of(database).erase_user("ann", "root")
        await eraser_of(database).erase_organization("acme", "admin")

        told_rows = [list(row.values())[1:] for row in await rows(database, ERASURES)]
    assert told_rows == [
        [7_000_000, Kind.USER, "root", 2],
        [7_000_000, Kind.ORGANIZATION, "admin", 4],
    ]


async def test_a_user_who_comes_back_is_a_new_one_to_a_ledger_that_knew_its_name(ledger_url):
    async with database_at(ledger_url) as database:
        ledger = SqlLedger(database)
        await ledger.append(entries(told(1, record("h1", charge()))))
        await eraser_of(database).erase_user("ann", "root")

        await ledger.append(entries(told(2, record("h2", charge()))))

        users = [line["user"] for line in await named_lines(database)]
        assert (await verify_all(database)).faults == []
        assert await eraser_of(database).erase_user("ann", "root") == 1
    assert users[0].startswith("erased/")
    assert users[1] == "ann"


async def test_an_organization_that_comes_back_is_written_by_a_ledger_that_knew_its_name(
    ledger_url,
):
    async with database_at(ledger_url) as database:
        ledger = SqlLedger(database)
        await ledger.append(entries(told(1, record("h1", charge()))))
        await eraser_of(database).erase_organization("acme", "root")

        await ledger.append(entries(told(2, record("h2", charge()))))

        assert [line["organization"] for line in await named_lines(database)] == ["acme"]
        assert (await verify_all(database)).faults == []


async def test_what_nobody_can_read_is_erased_where_the_name_is_in_it(ledger_url):
    broken = told(1, record("h1"), kind=b"nobody knows")
    other = told(2, record("h2", user_id="bob"), kind=b"nobody knows")
    async with database_at(ledger_url) as database:
        await SqlLedger(database).append(entries(broken, other))

        erased = await eraser_of(database).erase_user("ann", "root")

        kept = [row["content"] for row in await rows(database, ENTRIES)]
    assert erased == 1
    assert kept[0] is None
    assert b"bob" in kept[1]


async def test_counters_of_what_was_erased_are_forgotten(ledger_url):
    kept = [("acme", "user/ann"), ("acme", "key/k1"), ("acme", "user/bob"), ("other", "user/x")]
    counters = [{"partition": p, "subject": s, "rule": "cost/month"} for p, s in kept]
    left = []
    async with database_at(ledger_url) as database:
        await some_books(database)
        async with database.writing() as connection:
            await connection.execute(insert(COUNTERS), counters)

        await eraser_of(database).erase_user("ann", "root")
        left.append([row["subject"] for row in await rows(database, COUNTERS)])
        await eraser_of(database).erase_organization("acme", "root")
        left.append([row["subject"] for row in await rows(database, COUNTERS)])

    assert left == [["user/bob", "user/x"], ["user/x"]]


@pytest.mark.parametrize("breaks_at", [1, 2, 3])
@pytest.mark.parametrize("verb", ["erase_user", "erase_organization"])
async def test_what_broke_off_leaves_sound_books_and_can_be_begun_again(
    ledger_url, breaks_at, verb
):
    name = "bob" if verb == "erase_user" else "acme"
    async with database_at(ledger_url) as database:
        await some_books(database)
        broken = SqlEraser(BreakingDatabase(database, breaks_at))
        with pytest.raises(ServiceUnavailableError):
            await getattr(broken, verb)(name, "root")
        between = await verify_all(database)

        await getattr(eraser_of(database), verb)(name, "root")

        assert between.faults == []
        assert await told_of(database, name) == []
        assert (await verify_all(database)).faults == []


async def test_a_user_is_erased_whose_key_goes_with_its_organization_meanwhile(ledger_url):
    there = record("h2", charge(), organization_id="umbrella", key_id="k2")
    # Two new names, as two go: neither may be taken for the key's.
    more = {"organization_id": "umbrella", "user_id": "", "key_id": "", "model": "large"}
    new = record("h3", charge(model="gpt-9"), **more)
    async with database_at(ledger_url) as database:
        ledger = SqlLedger(database)
        await ledger.append(entries(told(1, there)))
        await ledger.append(entries(told(2, record("h1", charge()))))

        async def erase_organization():
            await eraser_of(database).erase_organization("acme", "root")
            await ledger.append(entries(told(3, new)))

        # Before the last transaction.
        interrupted = InterruptedDatabase(database, 3, erase_organization)
        await SqlEraser(interrupted).erase_user("ann", "root")

        assert [await told_of(database, name) for name in ("ann", "k1", "k2", "acme")] == [[]] * 4
        lines = await named_lines(database)
        assert (await verify_all(database)).faults == []
    assert [line["key"].partition("/")[0] for line in lines] == ["erased", ""]
    assert (lines[1]["model"], lines[1]["target"]) == ("large", "openai/gpt-9")


@pytest.mark.parametrize("verb", ["erase_user", "erase_organization"])
async def test_who_is_erased_while_it_is_written_of_leaves_sound_books(ledger_url, verb):
    async def write(database, shard):
        ledger = SqlLedger(database)
        for n in range(10):
            whose = "acme" if shard == 3 else "other"
            # Names that nothing else has yet.
            one = record(f"h{shard}-{n}", charge(), organization_id=whose, model=f"m{shard}-{n}")
            await ledger.append(entries(told(n, one, shard=shard)))

    name = "ann" if verb == "erase_user" else "acme"
    async with database_at(ledger_url) as one, database_at(ledger_url) as other:
        await some_books(one)

        await asyncio.gather(
            write(one, 3),
            write(other, 7),
            *(getattr(eraser_of(one), verb)(name, "r") for _ in "123"),
        )

        assert (await verify_all(one)).faults == []
        await getattr(eraser_of(other), verb)(name, "root")
        assert await told_of(one, name) == []
        assert (await verify_all(one)).faults == []
        assert len(await rows(one, ENTRIES)) == 28


@pytest.mark.parametrize("verb", ["erase_user", "erase_organization"])
async def test_nobody_is_nobody_to_erase(tmp_path, verb):
    async with database_at(f"sqlite:///{tmp_path / 'none.sqlite'}") as database:
        with pytest.raises(InvalidRequestError, match="is empty"):
            await getattr(eraser_of(database), verb)("", "root")


async def test_in_a_ledger_that_is_away_nothing_is_erased(tmp_path):
    async with database_at(f"sqlite:///{tmp_path / 'none.sqlite'}") as database:
        with pytest.raises(ServiceUnavailableError, match="meshgate migrate"):
            await eraser_of(database).erase_user("ann", "root")


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 3))))
def test_a_key_is_a_users_own_if_no_other_user_had_it(pairs):
    keys = owned_keys(1, pairs)

    for key in range(5):
        users = {user for k, user in pairs if k == key} - {0}
        assert (key in keys) == (key != 0 and users == {1})


@given(
    st.dictionaries(st.integers(0, 3), st.integers(0, 5_000)),
    st.dictionaries(st.integers(0, 3), st.integers(0, 9_000)),
)
def test_stretches_hold_each_entry_once(after, up_to):
    walked = {}
    for one in stretches(after, up_to):
        assert one.after == walked.get(one.shard, after.get(one.shard, 0)) < one.last
        walked[one.shard] = one.last

    assert walked == {s: last for s, last in up_to.items() if last > after.get(s, 0)}
    assert not list(stretches(up_to, up_to))
    assert all(isinstance(one, Stretch) for one in stretches(after, up_to))
