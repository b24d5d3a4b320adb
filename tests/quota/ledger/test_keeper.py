"""The keeper between a source and a ledger that fail as they like."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from quota.ledger.usage import charge, record, told

from meshgate.quota.ledger.entries import Entry, EntryKind
from meshgate.quota.ledger.intake import Told
from meshgate.quota.ledger.keeper import Appended, Backlog, Keeper, LedgerRefusedError, Taken
from meshgate.runtime.errors import ServiceUnavailableError

AWAY = ServiceUnavailableError("it is away")


class FakeSource:
    """Streams in memory. What was taken and not dropped is told again."""

    def __init__(self, *waiting: Told, failures: Iterable[bool] = ()) -> None:
        self.waiting = list(waiting)
        self.waits = 0
        self._failures = iter(failures)

    def _may_fail(self) -> None:
        if next(self._failures, False):
            raise AWAY

    async def take(self) -> Taken:
        self._may_fail()
        return Taken(list(self.waiting), await self.measure())

    async def measure(self) -> Backlog:
        return Backlog(len(self.waiting), 7.0 if self.waiting else 0.0)

    async def drop(self, some: Sequence[Told]) -> None:
        self._may_fail()
        self.waiting = [one for one in self.waiting if one not in some]

    async def wait(self) -> None:
        self.waits += 1
        await asyncio.sleep(0)


class FakeLedger:
    """A ledger in memory; what it is told to do instead of appending comes first."""

    def __init__(self, *instead: Exception | None) -> None:
        self.entries: dict[str, Entry] = {}
        self.sizes: list[int] = []
        self.poison: set[str] = set()
        self._instead = deque(instead)

    async def append(self, entries: Sequence[Entry]) -> Appended:
        self.sizes.append(len(entries))
        error = self._instead.popleft() if self._instead else None
        if error is not None:
            raise error
        if any(entry.entry_id in self.poison for entry in entries):
            raise LedgerRefusedError("DataError")
        fresh = {e.entry_id: e for e in entries if e.entry_id not in self.entries}
        self.entries |= fresh
        return Appended(list(fresh.values()), len(entries) - len(fresh))


class Pauses:
    """Takes no time, and notes how long it would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def several(count: int) -> list[Told]:
    return [told(n, record(f"h{n}", charge())) for n in range(count)]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"meshgate_ledger_{name}", labels) or 0.0


async def test_what_was_used_is_written_and_then_dropped():
    source, ledger = FakeSource(*several(3)), FakeLedger()

    assert await Keeper(source, ledger, Pauses()).keep_once()

    assert list(ledger.entries) == ["h0", "h1", "h2"]
    assert source.waiting == []


async def test_nothing_is_dropped_before_it_is_written():
    source, ledger = FakeSource(*several(3)), FakeLedger(*[AWAY] * 4)
    dropped_at = []
    drop = source.drop

    async def noting(some):
        dropped_at.append(sorted(ledger.entries))
        await drop(some)

    source.drop = noting
    await Keeper(source, ledger, Pauses()).keep_once()

    assert dropped_at == [["h0", "h1", "h2"]]


async def test_many_entries_are_written_in_several_transactions_and_dropped_after_each():
    source, ledger, dropped = FakeSource(*several(1_200)), FakeLedger(), []
    drop = source.drop

    async def noting(some):
        dropped.append((len(some), len(ledger.entries)))
        await drop(some)

    source.drop = noting
    await Keeper(source, ledger, Pauses()).keep_once()

    assert ledger.sizes == [500, 500, 200]
    assert dropped == [(500, 500), (500, 1_000), (200, 1_200)]


async def test_a_ledger_that_is_away_is_asked_again_and_again_but_not_faster_than_every_5_seconds():
    source, ledger, pauses = FakeSource(*several(2)), FakeLedger(*[AWAY] * 9), Pauses()

    await Keeper(source, ledger, pauses).keep_once()

    assert pauses.seconds == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert len(ledger.entries) == 2


async def test_a_ledger_that_is_away_is_told_of_until_it_is_back():
    source, ledger, seen = FakeSource(*several(2)), FakeLedger(AWAY), []

    async def pause(_seconds):
        seen.append((list(keeper.lacks()), counted("waiting_entries")))

    keeper = Keeper(source, ledger, pause)
    before = list(keeper.lacks())
    await keeper.keep_once()

    assert before == list(keeper.lacks()) == []
    assert seen == [(["the database of the ledger does not answer"], 2.0)]


async def test_what_takes_too_long_together_is_written_in_parts():
    source = FakeSource(*several(500))
    ledger = FakeLedger(AWAY, AWAY)

    await Keeper(source, ledger, Pauses()).keep_once()

    assert ledger.sizes == [500, 250, 125, 250, 125]


async def test_an_entry_that_the_database_refuses_is_kept_as_it_came_and_stops_nobody():
    source, ledger = FakeSource(*several(20)), FakeLedger()
    ledger.poison = {"h7"}
    before = counted("entries_total", kind="unreadable")

    await Keeper(source, ledger, Pauses()).keep_once()

    expected = {f"h{n}" for n in range(20) if n != 7}
    kept = [e for e in ledger.entries.values() if e.kind is EntryKind.UNREADABLE]
    assert {e.entry_id for e in ledger.entries.values()} - expected == {kept[0].entry_id}
    assert kept[0].entry_id.startswith("unreadable/")
    assert b"h7" in kept[0].content
    assert source.waiting == []
    assert counted("entries_total", kind="unreadable") == before + 1


async def test_a_database_that_refuses_everything_loses_nothing():
    refused = LedgerRefusedError("ProgrammingError")
    source, ledger, pauses = FakeSource(*several(1)), FakeLedger(refused, refused), Pauses()

    await Keeper(source, ledger, pauses).keep_once()

    assert list(ledger.entries) == ["h0"]
    assert pauses.seconds == [0.1]


async def test_what_waits_and_what_was_written_is_counted():
    source, ledger = FakeSource(*several(3), *several(1)), FakeLedger()
    before = counted("entries_total", kind="settled"), counted("repeated_total")

    await Keeper(source, ledger, Pauses()).keep_once()

    assert counted("entries_total", kind="settled") == before[0] + 3
    assert counted("repeated_total") == before[1] + 1
    assert (counted("waiting_entries"), counted("oldest_waiting_seconds")) == (4.0, 7.0)


async def test_where_nothing_is_used_it_waits():
    source = FakeSource()
    keeping = asyncio.create_task(Keeper(source, FakeLedger(), Pauses()).keep())

    while source.waits < 3:
        await asyncio.sleep(0)

    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_where_little_is_used_it_is_gathered_and_where_much_waits_nobody_rests():
    source, ledger, sizes = FakeSource(*several(1_100)), FakeLedger(), []
    take = source.take

    async def take_some():
        taken = await take()
        return Taken(taken.told[:500], taken.backlog)

    async def rest(seconds):
        sizes.append((seconds, list(ledger.sizes)))
        source.waiting += several(3)
        if len(sizes) == 4:
            raise asyncio.CancelledError

    source.take = take_some
    with pytest.raises(asyncio.CancelledError):
        await Keeper(source, ledger, rest).keep()

    assert [size for _, size in sizes] == [
        [500, 500],
        [500, 500, 103],
        [500, 500, 103, 3],
        [500, 500, 103, 3, 3],
    ]
    assert [seconds for seconds, _ in sizes] == [0.4, 0.5, 0.5, 0.5]


async def test_what_is_used_after_a_pause_is_written_soon():
    source, ledger, seconds = FakeSource(*several(1)), FakeLedger(), []

    async def rest(pause):
        seconds.append(pause)
        if len(seconds) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Keeper(source, ledger, rest).keep()

    assert seconds == [0.2, 0.1, 0.1]


@given(
    st.lists(st.booleans(), max_size=20),
    st.lists(st.sampled_from([None, AWAY, LedgerRefusedError("DataError")]), max_size=20),
    st.integers(1, 12),
)
def test_whatever_fails_everything_is_written_once_and_nothing_stays(source_fails, instead, count):
    async def keep():
        source = FakeSource(*several(count), failures=source_fails)
        ledger = FakeLedger(*instead)
        keeper = Keeper(source, ledger, Pauses())
        while source.waiting:
            await keeper.keep_once()
        return ledger

    ledger = asyncio.run(keep())

    # What was refused alone is there as it came.
    read = {entry_id for entry_id in ledger.entries if entry_id.startswith("h")}
    unread = {e.content for e in ledger.entries.values() if e.kind is EntryKind.UNREADABLE}
    assert all(
        f"h{n}" in read or any(f"h{n}".encode() in content for content in unread)
        for n in range(count)
    )
