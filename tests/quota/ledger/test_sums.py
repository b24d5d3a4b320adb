"""Sums of many counters at once, each from a moment of its own; and what erasing leaves of them."""

import pytest
from quota.ledger.usage import MOMENT, adjusted, charge, database_at, entries, record, told
from sqlalchemy import event

from meshgate.quota.ledger.books import LedgerBooks, Sight
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.counters import CounterName, Used, Wanted
from meshgate.quota.ledger.sql_eraser import SqlEraser
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sums import sums_of
from meshgate.quota.shards import shard_of

SHARD = shard_of("acme")
ONE = Used(1, 10, 5, 30)
GIVEN_UP = Used(1, 20, 30, 40)
SUBJECTS = ("user/ann", "user/bob", "key/k1", "tag/a=b", "team/red", "organization/acme")


def total(subject: str, start: int = 0, end: int | None = None) -> Wanted:
    return Wanted(CounterName("acme", subject, "cost/total"), start, end)


async def test_each_counter_is_summed_up_from_its_own_moment_in_one_pass_for_a_kind(ledger_url):
    told_all = [
        told(n, record(f"h{n}", charge(), user_id=who, tags={"a": "b"}), grant_time=MOMENT + n)
        for n, who in enumerate(["ann", "bob", "ann", "bob", "ann", "bob"])
    ]
    wanted = [
        total(subject, MOMENT + start, end and MOMENT + end)
        for subject in SUBJECTS
        for start in range(-1, 8)
        for end in (None, 3, 5)
        if end is None or start < end
    ]
    passes: list[str] = []
    async with database_at(ledger_url) as database:
        await SqlLedger(database).append(entries(*told_all))
        async with database.reading() as connection:
            engine = connection.sync_connection.engine
            event.listen(
                engine,
                "before_cursor_execute",
                lambda _c, _k, statement, *_: passes.append(statement),
            )

            found = await sums_of(connection, wanted)

    assert found == {
        one: ONE.times(sum(1 for n in counting(one.name.subject) if counts(one, n)))
        for one in wanted
    }
    # Of users, keys, teams, the organization, and tags, whose names are looked for in another.
    assert sum(1 for statement in passes if "ledger_lines" in statement) == 6


def counting(subject: str) -> range:
    return {"user/ann": range(0, 6, 2), "user/bob": range(1, 6, 2)}.get(subject, range(6))


def counts(one: Wanted, number: int) -> bool:
    return one.start <= MOMENT + number and (one.end is None or MOMENT + number < one.end)


async def test_what_was_given_up_of_an_erased_user_still_counts_for_organization_and_team(
    ledger_url,
):
    subjects = ["user/ann", "team/red", "organization/acme"]
    made = entries(
        told(1, record("h1", charge()), shard=SHARD),
        adjusted(2, shard=SHARD, subjects=subjects, cause=b"settled/2"),
        adjusted(3, shard=SHARD, subjects=subjects, cause=b"settled/3"),
        adjusted(4, b"returned", shard=SHARD, subjects=subjects, cause=b"settled/4"),
        adjusted(5, shard=SHARD, subjects=["user/bob", *subjects[1:]], cause=b"settled/5"),
        adjusted(6, shard=shard_of("everyone"), partition=b"everyone", subjects=["everyone"]),
    )
    everyone = Wanted(CounterName("everyone", "everyone", "cost/total"), 0)
    wanted = [total("team/red"), total("organization/acme"), total("user/bob"), everyone]
    async with database_at(ledger_url) as database:
        await SqlLedger(database).append(made)
        checked = CheckedDatabase(database)
        books = LedgerBooks(checked)
        before = await books.look(wanted, [], await books.heads())
        assert await SqlEraser(checked, lambda: 7.0).erase_user("ann", "root") == 4

        after = await books.look(wanted, [], await books.heads())

    assert after.booked == before.booked
    assert after.booked[wanted[1]].least == ONE + GIVEN_UP.times(2)
    assert after.booked[wanted[2]].least == GIVEN_UP
    assert after.booked[everyone].least == ONE + GIVEN_UP


@pytest.mark.parametrize(
    ("starts", "is_whole"),
    [
        ({}, True),
        ({5: 2**63 - 1}, False),
        ({5: 2**63 - 1, 6: 9_000}, True),
        ({5: 2**63 - 1, 6: 11_000}, False),
    ],
)
def test_where_nothing_is_left_of_a_shard_a_shared_counter_may_lack_something(starts, is_whole):
    everyone = Wanted(CounterName("everyone", "everyone", "cost/total"), 10)

    assert Sight({}, 0, starts).has_all(everyone) is is_whole
