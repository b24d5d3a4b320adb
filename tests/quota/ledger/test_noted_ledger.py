"""Counters are noted with the first entry of those whose they are."""

import pytest
from quota.ledger.audits import Caller, audit_at
from quota.ledger.streams import stream_at
from quota.ledger.usage import adjusted, database_at, record, told
from quota.worlds import key, per

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LimitKind, WindowUnit
from meshgate.quota.ledger.intake import entries_of
from meshgate.quota.ledger.keeper import Appended, Keeper
from meshgate.quota.ledger.noted_ledger import NotedLedger
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.runtime.errors import ServiceUnavailableError

ANN = {
    ("acme", "key/k1"),
    ("acme", "user/ann"),
    ("acme", "team/red"),
    ("acme", "organization/acme"),
}
WIDE = {("model/small", "model/small"), ("everyone", "everyone")}


class Notes:
    """Remembers what it was told, as far as it answers."""

    def __init__(self):
        self.noted = []
        self.is_away = False

    async def note(self, places):
        if self.is_away:
            raise ServiceUnavailableError("it is away")
        self.noted.append(set(places))
        return len(places)


class Entries:
    """Takes everything."""

    async def append(self, entries):
        return Appended(entries, 0)


@pytest.fixture
def notes():
    return Notes()


async def test_everyone_is_noted_once(notes):
    ledger = NotedLedger(Entries(), notes)

    await ledger.append(entries_of(told(1, record("a"), record("b"))))
    await ledger.append(entries_of(told(2, record("c"), record("d", key_id="k2"))))
    await ledger.append(entries_of(told(3, record("e"))))

    assert notes.noted == [ANN | WIDE, {("acme", "key/k2")}]


async def test_so_are_those_of_what_was_given_up(notes):
    ledger = NotedLedger(Entries(), notes)
    [entry] = entries_of(adjusted(1))

    await ledger.append([entry])

    assert len(notes.noted) == 1


async def test_while_they_cannot_be_noted_the_ledger_is_written_all_the_same(notes):
    ledger = NotedLedger(Entries(), notes)
    entries = entries_of(told(1, record("a")))
    notes.is_away = True

    appended = await ledger.append(entries)
    notes.is_away = False
    await ledger.append(entries_of(told(2, record("b"))))

    assert appended == Appended(entries, 0)
    assert notes.noted == [ANN | WIDE]


async def test_with_too_many_of_them_all_are_new_again(notes):
    ledger = NotedLedger(Entries(), notes, most_known=6)

    await ledger.append(entries_of(told(1, record("a"))))
    await ledger.append(entries_of(told(2, record("b", key_id="k2"))))
    await ledger.append(entries_of(told(3, record("c"))))

    assert notes.noted == [ANN | WIDE, {("acme", "key/k2")}, ANN | WIDE]


async def test_a_budget_is_made_again_that_was_used_for_the_first_time_just_before_the_loss(
    valkey, quick_disk, ledger_url
):
    budget = (key("k1", per(WindowUnit.TOTAL, 100, LimitKind.COST)),)
    spent = Amounts(1, 10, 20, 60)
    async with (
        database_at(ledger_url) as database,
        audit_at(valkey, database) as audit,
        stream_at(valkey) as stream,
    ):
        keeper = Keeper(stream, NotedLedger(SqlLedger(database), audit.noted))
        await audit.world.hold("a", budget, spent)
        record_of_it = Caller("acme", "k1", budget).record("a", spent)
        await audit.world.settle("a", budget, spent, spent, records=record_of_it)
        while await keeper.keep_once():
            pass
        valkey.clean()

        rebuilt = await audit.rebuilding.rebuild()

        assert rebuilt.raised == 1
        assert await audit.differences() == []
