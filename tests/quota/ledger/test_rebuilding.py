"""After a loss of the store, limits hold as before."""

import asyncio
import contextlib
import random

import pytest
from quota.conftest import writing_at_once
from quota.ledger.audits import History, audit_at, caller, with_more_limits
from quota.ledger.databases import migrated_sqlite
from quota.ledger.usage import database_at
from quota.worlds import World, key, per, soon

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.quota.grants import Grant, GrantSettlement, Hold, LimitReached, Settlement
from meshgate.quota.ledger.counters import CounterName

SPENT = Amounts(1, 10, 20, 30)


@pytest.fixture
async def audit(valkey, quick_disk, ledger_url):
    async with database_at(ledger_url) as database, audit_at(valkey, database) as audit:
        yield audit


async def counted(audit) -> dict[CounterName, int]:
    """What every counter that is compared holds as spent."""
    await audit.noted.note()
    glance = await audit.comparison.look(await audit.noted.page(None, 1_000))
    return {name: one.counted for name, one in glance.findings.items()}


@pytest.mark.parametrize("seed", range(2))
async def test_when_the_store_was_emptied_all_counters_come_back(audit, valkey, seed):
    history = History(audit, random.Random(seed))
    await history.go(25)
    history.callers = [with_more_limits(one) for one in history.callers]
    await history.go(25, longest_seconds=2_000)
    await audit.drain()
    before = await counted(audit)
    valkey.clean()

    rebuilt = await audit.rebuilding.rebuild()
    again = await audit.rebuilding.rebuild()

    after = await counted(audit)
    assert after == before
    assert await audit.differences() == []
    assert rebuilt.raised >= sum(1 for amount in before.values() if amount)
    assert again.raised == 0
    assert again.counters >= rebuilt.raised


async def test_counters_come_back_on_every_store(any_redis, tmp_path):
    url = await asyncio.to_thread(migrated_sqlite, tmp_path / "ledger.sqlite")
    quick = contextlib.nullcontext() if any_redis.is_cluster else writing_at_once(any_redis)
    async with database_at(url) as database, audit_at(any_redis, database) as audit:
        with quick:
            await History(audit, random.Random(5)).go(10)
        await audit.drain()
        before = await counted(audit)
        any_redis.clean()

        await audit.rebuilding.rebuild()

        after = await counted(audit)
    assert after == before


LIMITED = (key("k1", per(WindowUnit.DAY, 3), per(WindowUnit.TOTAL, 100, LimitKind.COST)),)


async def spend(world: World, *names: str) -> None:
    one = caller(1)
    for name in names:
        await world.hold(name, LIMITED, SPENT)
        records = one.record(name, SPENT, organization_id="acme")
        await world.settle(name, LIMITED, SPENT, SPENT, records=records)


async def test_limits_refuse_what_they_refused_before(audit, valkey):
    await spend(audit.world, "a", "b", "c")
    await audit.drain()
    await audit.noted.note()
    valkey.clean()
    await audit.rebuilding.rebuild()

    requests = await audit.world.hold("d", LIMITED, Amounts(requests=1))
    cost = await audit.world.hold("e", LIMITED, Amounts(cost_nanos=11))
    rest = await audit.world.hold("f", LIMITED, Amounts(cost_nanos=10))

    assert isinstance(requests, LimitReached)
    assert isinstance(cost, LimitReached)
    assert isinstance(rest, Grant)


async def test_a_window_that_is_over_stays_so(audit, valkey):
    await spend(audit.world, "a", "b", "c")
    await audit.drain()
    await audit.noted.note()
    valkey.clean()
    audit.world.clock.advance(86_400)
    await audit.rebuilding.rebuild()

    outcome = await audit.world.hold("d", LIMITED, Amounts(requests=3))

    assert isinstance(outcome, Grant)


async def test_what_was_used_since_the_loss_stays_and_what_is_held_too(audit, valkey):
    one, world = caller(1), audit.world
    await spend(world, "a")
    await audit.drain()
    await audit.noted.note()
    valkey.clean()
    await spend(world, "b")
    await world.hold("c", LIMITED, Amounts(requests=1))

    await audit.rebuilding.rebuild()

    assert isinstance(await world.hold("d", LIMITED, Amounts(requests=1)), LimitReached)
    settled = Settlement(0, Amounts(requests=1), Amounts())
    item = GrantSettlement("c", "acme", LIMITED, None, (settled,))
    await world.store.settle([item], soon())
    assert isinstance(await world.hold("e", LIMITED, Amounts(requests=1)), Grant)
    assert one.organization != "acme"


async def test_what_is_used_while_counters_are_made_again_counts_once(audit, valkey):
    for number in range(4):
        await use(audit, f"before-{number}")
    await audit.drain()
    await audit.noted.note()
    valkey.clean()

    async def go_on() -> None:
        for number in range(12):
            await use(audit, f"after-{number}")
            await audit.keeper.keep_once()

    await asyncio.gather(go_on(), audit.rebuilding.rebuild(), audit.rebuilding.rebuild())
    await audit.drain()

    assert await audit.differences(organization_id="org-1") == []
    name = CounterName("org-1", "key/k1", "requests/day/calendar/UTC")
    assert (await counted(audit))[name] == 16


async def use(audit, name: str) -> None:
    one = caller(1)
    store = audit.world.store
    await store.hold([Hold(name, one.organization, one.subjects, SPENT)], soon())
    settled = Settlement(0, SPENT, SPENT, one.record(name, SPENT))
    item = GrantSettlement(name, one.organization, one.subjects, None, (settled,))
    await store.settle([item], soon())


async def test_only_the_counters_of_one_organization_are_made_again(audit, valkey):
    for number in (1, 2):
        one = caller(number)
        settled = Settlement(0, SPENT, SPENT, one.record(f"r{number}", SPENT))
        item = GrantSettlement(
            f"g{number}", one.organization, one.subjects, audit.world.clock(), (settled,)
        )
        await audit.world.store.settle([item], soon())
    await audit.drain()
    before = await counted(audit)
    valkey.clean()

    await audit.rebuilding.rebuild("org-1")

    after = await counted(audit)
    own = {name for name in before if name.partition == "org-1"}
    assert {name: after[name] for name in own} == {name: before[name] for name in own}
    assert not any(after[name] for name in before.keys() - own)


async def test_counters_that_books_cannot_tell_exactly_are_raised_only_where_they_were_lost(
    audit, valkey
):
    """The ledger does not say that a fallback answered: the model that was asked for did not."""
    model = Subject(SubjectKind.MODEL, "small", (per(WindowUnit.TOTAL, 100, LimitKind.COST),))
    place = ("model/small", (model,))
    name = CounterName("model/small", "model/small", "cost/total")
    failed = Settlement(0, Amounts(1, 0, 0, 3), Amounts(1, 0, 0, 3))
    await audit.world.store.hold([Hold("g", *place, failed.held)], soon())
    await audit.world.store.settle([GrantSettlement("g", *place, None, (failed,))], soon())
    await use(audit, "answered by another")

    await audit.rebuilding.rebuild()
    as_it_was = (await counted(audit))[name]
    await audit.drain()
    valkey.clean()
    await audit.rebuilding.rebuild()

    assert as_it_was == 3
    assert (await counted(audit))[name] == 30
