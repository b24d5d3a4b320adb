"""Totals and balances hold after a loss of the store, also where the books do not go back to their beginning."""

import pytest
from quota.ledger.audits import Caller, audit_at
from quota.ledger.usage import database_at
from quota.worlds import key, per, soon

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.quota.grants import Grant, GrantSettlement, Hold, LimitReached, Settlement
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.counter_store import Raise
from meshgate.quota.ledger.counters import CounterName, Window
from meshgate.quota.ledger.sql_eraser import SqlEraser
from meshgate.quota.ledger.sql_retention import SqlAgingBooks

SPENT = Amounts(1, 10, 20, 300)
LITTLE = Amounts(1, 1, 1, 50)
LIMITED = (key("k1", per(WindowUnit.DAY, 100), per(WindowUnit.TOTAL, 1_000, LimitKind.COST)),)
NAME = CounterName("acme", "key/k1", "cost/total")
YEAR = 365 * 86_400


def shared(kind: SubjectKind, name: str) -> tuple[str, Subject]:
    subject = Subject(kind, name, (per(WindowUnit.TOTAL, 10_000, LimitKind.COST),))
    return subject.name, subject


SHARED = (
    shared(SubjectKind.EVERYONE, ""),
    shared(SubjectKind.MODEL, "small"),
    shared(SubjectKind.TARGET, "openai/gpt-1"),
)
EVERY = (NAME.subject, *(place for place, _ in SHARED))


@pytest.fixture
async def audit(valkey, quick_disk, ledger_url):
    async with database_at(ledger_url) as database, audit_at(valkey, database) as audit:
        yield audit


async def spend(audit, name: str, organization: str = "acme", spent: Amounts = SPENT) -> None:
    """What a request is booked for, with its organization and with all that organizations share."""
    record = Caller(organization, "k1", LIMITED).record(name, spent)
    places = [(organization, LIMITED, record)]
    places += [(place, (subject,), b"") for place, subject in SHARED]
    for partition, subjects, records in places:
        await audit.world.store.hold([Hold(name, partition, subjects, spent)], soon())
        settled = Settlement(0, spent, spent, records)
        item = GrantSettlement(name, partition, subjects, None, (settled,))
        await audit.world.store.settle([item], soon())


async def totals(audit) -> dict[str, int]:
    """What the totals hold, by subject."""
    names = [NAME, *(CounterName(place, place, "cost/total") for place, _ in SHARED)]
    found = await audit.store.counters({name.place for name in names})
    return {
        name.subject: found[name.place][name.rule].spent(Window())
        for name in names
        if name.rule in found[name.place]
    }


async def grow_old(audit, name: str) -> None:
    """Two years later something is used, and the books forget all that was before."""
    audit.world.clock.advance(2 * YEAR)
    await spend(audit, name, spent=LITTLE)
    await audit.drain()
    books = SqlAgingBooks(CheckedDatabase(audit.database))
    await books.drop_before(audit.world.clock() * 1_000, lambda _count: None)


async def test_what_retention_has_dropped_cannot_be_spent_again(audit, valkey):
    await spend(audit, "long ago")
    await grow_old(audit, "lately")
    await audit.noted.note()
    before = await totals(audit)
    valkey.clean()

    rebuilt = await audit.rebuilding.rebuild()
    again = await audit.rebuilding.rebuild()

    assert before == dict.fromkeys(EVERY, 350)
    assert await totals(audit) == before
    # And the limit of the day.
    assert (rebuilt.raised, again.raised) == (5, 0)
    assert await audit.differences() == []
    too_much = await audit.world.hold("b", LIMITED, Amounts(cost_nanos=651))
    rest = await audit.world.hold("c", LIMITED, Amounts(cost_nanos=650))
    assert isinstance(too_much, LimitReached)
    assert isinstance(rest, Grant)


async def test_the_books_add_what_came_after_the_last_look(audit, valkey):
    await spend(audit, "long ago")
    await grow_old(audit, "lately")
    await audit.noted.note()
    audit.world.clock.advance(10)
    await spend(audit, "since the last look")
    await audit.drain()
    valkey.clean()
    audit.world.clock.advance(10)
    await spend(audit, "since the loss", spent=LITTLE)
    # The minute's task comes first, and sees counters that have begun anew.
    await audit.noted.note()
    audit.world.clock.advance(60)
    await audit.noted.note()

    await audit.rebuilding.rebuild()

    assert await totals(audit) == dict.fromkeys(EVERY, 700)
    assert await audit.differences() == []


async def test_a_second_loss_costs_nothing_either(audit, valkey):
    await spend(audit, "long ago")
    for name in ("lately", "later"):
        await grow_old(audit, name)
        await audit.noted.note()
        valkey.clean()
        audit.world.clock.advance(60)
        await audit.rebuilding.rebuild()

    assert await totals(audit) == dict.fromkeys(EVERY, 400)


async def test_what_an_erased_organization_used_still_counts_for_all(audit, valkey):
    await spend(audit, "theirs")
    await spend(audit, "ours", "other")
    await audit.drain()
    await audit.noted.note()
    await SqlEraser(CheckedDatabase(audit.database)).erase_organization("acme", "root")
    valkey.clean()

    await audit.rebuilding.rebuild()

    assert await totals(audit) == dict.fromkeys(EVERY[1:], 600)


async def test_who_comes_anew_after_an_erasure_begins_with_nothing(audit, valkey):
    await spend(audit, "before")
    await audit.drain()
    await audit.noted.note()
    await SqlEraser(CheckedDatabase(audit.database)).erase_organization("acme", "root")
    valkey.clean()
    audit.world.clock.advance(60)
    await spend(audit, "anew")
    await audit.drain()

    await audit.rebuilding.rebuild()

    assert (await totals(audit))[NAME.subject] == 300


async def test_where_the_books_are_whole_a_wrong_counter_does_not_come_back(audit, valkey):
    await spend(audit, "a")
    await audit.drain()
    wrong = Raise(NAME, Window(), 300, 500, audit.world.clock())
    await audit.store.raise_counters([wrong])
    named = await audit.differences()
    valkey.clean()

    await audit.rebuilding.rebuild()

    assert [(one.name, one.counted, one.booked) for one in named] == [(NAME, 800, 300)]
    assert (await audit.noted.page(None, 1))[0].spent == 800
    assert (await totals(audit))[NAME.subject] == 300


async def test_a_counter_of_an_old_backup_is_raised_to_what_it_was_seen_to_hold(audit, valkey):
    await spend(audit, "long ago")
    read = await audit.store.counters([NAME.place])
    await spend(audit, "after the backup")
    await grow_old(audit, "lately")
    await audit.noted.note()
    valkey.clean()
    since = read[NAME.place][NAME.rule].since
    await audit.store.raise_counters([Raise(NAME, Window(), 0, 300, since)])
    audit.world.clock.advance(60)

    await audit.rebuilding.rebuild()

    assert (await totals(audit))[NAME.subject] == 650
