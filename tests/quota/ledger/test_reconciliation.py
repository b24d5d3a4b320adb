"""Whatever happens, counters and books agree; and where somebody has meddled with one, it is named."""

import asyncio
import contextlib
import random

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from quota.conftest import writing_at_once
from quota.ledger.audits import (
    History,
    audit_at,
    caller,
    with_more_limits,
)
from quota.ledger.databases import migrated_sqlite
from quota.ledger.meddling import COST, REQUESTS, SPENT, add, meddle, spend
from quota.ledger.usage import database_at
from quota.worlds import soon
from sqlalchemy import delete, update

from meshgate.limits.amounts import Amounts
from meshgate.quota.grants import GrantSettlement, Hold, Settlement
from meshgate.quota.ledger.counters import CounterName
from meshgate.quota.ledger.reconciliation import Reconciliation
from meshgate.quota.ledger.schema import ENTRIES, ERASURES, IDS, LINES, STARTS


@pytest.fixture
async def database(ledger_url):
    async with database_at(ledger_url) as database:
        yield database


@pytest.fixture
async def audit(valkey, quick_disk, database):
    async with audit_at(valkey, database) as audit:
        yield audit


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_became_of_requests_the_counters_and_the_books_agree(audit, seed):
    history = History(audit, random.Random(seed))
    await history.go(40)
    history.callers = [with_more_limits(one) for one in history.callers]
    await history.go(60, longest_seconds=2_000)

    waiting = await audit.reconciliation.reconcile()
    await audit.drain()
    written = await audit.reconciliation.reconcile()

    assert waiting.differences == written.differences == []
    assert waiting.waiting > 0
    assert written.waiting == 0
    assert waiting.compared == written.compared > 10


async def test_counters_and_books_agree_on_every_store(any_redis, tmp_path):
    url = await asyncio.to_thread(migrated_sqlite, tmp_path / "ledger.sqlite")
    quick = contextlib.nullcontext() if any_redis.is_cluster else writing_at_once(any_redis)
    async with database_at(url) as database, audit_at(any_redis, database) as audit:
        with quick:
            await History(audit, random.Random(7)).go(15)
            await audit.drain()

            found = await audit.reconciliation.reconcile()

    assert found.differences == []
    assert found.compared > 5


@pytest.mark.parametrize("amount", [-7, 5])
@pytest.mark.parametrize("name", [COST, CounterName("everyone", "everyone", "cost/total")])
async def test_a_counter_that_was_changed_is_named_with_what_it_should_hold(
    audit, valkey, name, amount
):
    await spend(audit, "a", "b")
    await audit.keeper.keep_once()
    await spend(audit, "c")
    meddle(valkey, name, add(name, amount))

    (found,) = await audit.differences()

    assert (found.name, found.start) == (name, 0)
    assert (found.counted, found.booked) == (90 + amount, 90)
    assert f"{abs(amount)} {'less' if amount < 0 else 'more'} than the books" in found.message


async def test_a_counter_that_is_gone_is_named(audit, valkey):
    await spend(audit, "a", "b")
    await audit.noted.note()
    meddle(valkey, REQUESTS, lambda counters: counters.pop(REQUESTS.rule))

    (found,) = await audit.differences()

    assert found.name == REQUESTS
    assert (found.counted, found.booked) == (0, 2)
    assert "lost the counter" in found.message


async def test_all_counters_are_named_when_the_store_was_emptied(audit, valkey):
    await spend(audit, "a")
    await audit.drain()
    await audit.noted.note()
    valkey.clean()
    await spend(audit, "b", wide=False)

    found = {each.name: each for each in await audit.differences()}

    assert found[COST].counted == 30
    assert found[COST].booked == 60
    assert {"key/k1", "team/red", "user/ann", "everyone"} <= {name.subject for name in found}


async def test_an_entry_that_was_taken_out_of_the_ledger_is_missed(audit, database):
    await spend(audit, "a", "b", wide=False)
    await audit.drain()
    async with database.writing() as connection:
        for table in (ENTRIES, LINES, IDS):
            await connection.execute(delete(table).where(table.c.sequence == 1))

    found = {each.name: each for each in await audit.differences()}

    assert (found[COST].counted, found[COST].booked) == (60, 30)
    assert "VerifyUsage" in found[COST].message


async def test_a_line_that_was_changed_is_missed(audit, database):
    await spend(audit, "a", wide=False)
    await audit.drain()
    async with database.writing() as connection:
        await connection.execute(update(LINES).values(cost_nanos=29))

    found = {each.name: each for each in await audit.differences()}

    assert (found[COST].counted, found[COST].booked) == (30, 29)


async def test_after_an_erasure_only_what_lacks_is_a_difference(audit, valkey, database):
    await spend(audit, "a", "b", wide=False)
    await audit.drain()
    erased = {"time": audit.world.clock() * 1_000 + 1, "kind": 1, "principal_id": "", "entries": 1}
    async with database.writing() as connection:
        await connection.execute(ERASURES.insert(), [erased])
    meddle(valkey, COST, add(COST, 5))
    more = await audit.differences()
    meddle(valkey, COST, add(COST, -6))
    less = await audit.differences()

    assert more == []
    assert [(each.name, each.counted, each.booked) for each in less] == [(COST, 59, 60)]


async def test_where_old_entries_were_dropped_only_what_lacks_is_a_difference(
    audit, valkey, database
):
    await spend(audit, "a", "left", who=1, wide=False)
    await spend(audit, "other", who=2, wide=False)
    audit.world.clock.advance(86_400)
    await spend(audit, "b", who=1, wide=False)
    await audit.drain()
    dropped = {"shard": COST.shard, "sequence": 1, "chain": b""}
    async with database.writing() as connection:
        await connection.execute(STARTS.insert(), [dropped])
        for table in (ENTRIES, LINES, IDS):
            old = (table.c.shard == COST.shard) & (table.c.sequence == 1)
            await connection.execute(delete(table).where(old))
    fine = await audit.differences()
    meddle(valkey, COST, add(COST, -31))  # of 90
    meddle(valkey, REQUESTS, lambda counters: counters[REQUESTS.rule][2].__setitem__(-2, 3))

    found = {each.name: (each.counted, each.booked) for each in await audit.differences()}

    assert fine == []
    # The total is known to be 60 at least; the day is known exactly.
    assert found == {COST: (59, 60), REQUESTS: (3, 1)}


async def test_what_an_organization_uses_is_compared_by_itself_and_page_by_page(audit, valkey):
    await spend(audit, "a", who=1)
    await spend(audit, "b", who=2)
    meddle(valkey, COST, add(COST, 1))
    names, after, compared = [], None, 0
    paged = Reconciliation(audit.noted, audit.comparison, audit.books, page_size=2)
    while True:
        page = await paged.reconcile(after)
        names += [each.name for each in page.differences]
        compared += page.compared
        after = page.last
        if after is None:
            break

    others = await audit.differences(organization_id="org-2")
    own = await audit.differences(organization_id="org-1")

    assert names == [each.name for each in own] == [COST]
    assert others == []
    assert compared == (await audit.reconciliation.reconcile()).compared


async def test_a_limit_that_is_new_counts_from_its_beginning_on(audit):
    await spend(audit, "a", wide=False)
    one = with_more_limits(caller(1))
    audit.world.clock.advance(10)
    hold = Hold("b", one.organization, one.subjects, Amounts(requests=1))
    await audit.world.store.hold([hold], soon())
    # Nothing was set aside of what the new limits count, and it was used all the same.
    audit.world.clock.advance(10)
    settled = Settlement(0, hold.amounts, SPENT, one.record("b", SPENT))
    item = GrantSettlement("b", one.organization, one.subjects, None, (settled,))
    await audit.world.store.settle([item], soon())

    assert await audit.differences() == []


async def test_a_request_that_runs_while_a_window_begins_is_no_difference(audit, valkey):
    """What it was given besides, when the day had begun, is of that day; its record is not."""
    one = caller(1)
    audit.world.clock.time = midnight = 1_790_035_200_000
    audit.world.clock.advance(-10)
    places = (one.organization, one.subjects)
    await audit.world.store.hold([Hold("main", *places, SPENT)], soon())
    audit.world.clock.advance(20)
    await audit.world.store.hold([Hold("more", *places, Amounts(0, 0, 5, 5))], soon())
    times = {"start_time": at(midnight - 10_000), "end_time": at(midnight + 15_000)}
    record = one.record("r", Amounts(1, 10, 25, 35), **times)
    for name, spent, records in (("more", Amounts(0, 0, 5, 5), b""), ("main", SPENT, record)):
        settled = Settlement(0, spent, spent, records)
        item = GrantSettlement(name, *places, None, (settled,))
        await audit.world.store.settle([item], soon())
    await audit.drain()

    fine = await audit.differences()
    name = CounterName("org-1", "key/k1", "cost/day/calendar/UTC")
    meddle(valkey, name, lambda counters: counters[name.rule][2].__setitem__(-2, 36))
    found = await audit.differences()

    assert fine == []
    assert [(each.name, each.counted, each.booked) for each in found] == [(name, 36, 0)]


def at(milliseconds: int):
    moment = Timestamp()
    moment.FromMilliseconds(milliseconds)
    return moment


async def test_while_requests_go_on_nothing_is_named(audit):
    async def use(number: int) -> None:
        for step in range(8):
            await spend(audit, f"u{number}-{step}", who=number)

    async def keep() -> None:
        while not users.done():
            await audit.keeper.keep_once()
            await asyncio.sleep(0)

    await spend(audit, "first")
    users = asyncio.gather(use(1), use(4))
    keeping = asyncio.create_task(keep())
    found = []
    while not users.done():
        found += await audit.differences(organization_id="org-1")
    await asyncio.gather(users, keeping)

    assert found == []
