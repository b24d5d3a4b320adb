"""Notes which counters there are, so that they can be looked for, and made again, when they are lost."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import structlog
from msgspec.structs import replace
from sqlalchemy import Table, bindparam, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.counter_store import CounterStore
from meshgate.quota.ledger.counters import Counter, CounterName, Noted, Place, window_of
from meshgate.quota.ledger.insertion import insert_missing
from meshgate.quota.ledger.schema import COUNTERS
from meshgate.runtime.errors import GatewayError

_log = structlog.get_logger("meshgate.quota.ledger")

NOTE_SECONDS = 60.0
_MOST_A_TRANSACTION = 1_000
_VALUES = ("since", "seen", "spent", "spent_at")
_COLUMNS = (COUNTERS.c.partition, COUNTERS.c.subject, COUNTERS.c.rule)


class NotedCounters:
    """The counters that were ever seen in the store.

    Args:
        database: Where they are noted.
        store: Where they are.
    """

    def __init__(self, database: CheckedDatabase, store: CounterStore) -> None:
        self._database = database
        self._store = store

    async def note(self, places: Collection[Place] | None = None) -> int:
        """Note all that are used in their present windows, and tell how many.

        Args:
            places: Only those that are kept here.

        Raises:
            ServiceUnavailableError: The store or the database does not answer.
        """
        now = await self._store.now()
        wanted = await self._store.places() if places is None else places
        found = [
            (CounterName(*place, rule), counter)
            for place, counters in (await self._store.counters(wanted)).items()
            for rule, counter in counters.items()
        ]
        read = await self._store.now()
        compared = [(name, one) for name, one in found if _is_used(name, one, now)]
        for begin in range(0, len(compared), _MOST_A_TRANSACTION):
            some = dict(compared[begin : begin + _MOST_A_TRANSACTION])
            async with self._database.writing() as connection:
                await _write(connection, some, now, read)
        return len(compared)

    async def page(
        self, after: CounterName | None, count: int, organization_id: str = ""
    ) -> Sequence[Noted]:
        """The next so many, by name.

        Raises:
            ServiceUnavailableError: The database does not answer.
        """
        query = select(COUNTERS).order_by(*_COLUMNS).limit(count)
        if after is not None:
            query = query.where(tuple_(*_COLUMNS) > (after.partition, after.subject, after.rule))
        if organization_id:
            query = query.where(COUNTERS.c.partition == organization_id)
        async with self._database.reading() as connection:
            return [_noted(row) for row in await connection.execute(query)]


async def keep_noting(
    noted: NotedCounters, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Note counters every minute, without end."""
    is_away = False
    while True:
        try:
            await noted.note()
            is_away = False
        except GatewayError as error:
            if not is_away:
                _log.warning("counters cannot be noted", reason=error.message)
            is_away = True
        await sleep(NOTE_SECONDS)


def _is_used(name: CounterName, counter: Counter, now: int) -> bool:
    window = window_of(name, now)
    return window is not None and counter.was_used_in(window)


async def _write(
    connection: AsyncConnection, counters: Mapping[CounterName, Counter], now: int, read: int
) -> None:
    new = [_seen(Noted(name, one.since), one, now, read) for name, one in sorted(counters.items())]
    await insert_missing(connection, COUNTERS, [_key(one.name) | _values(one) for one in new])
    before = await _stored(connection, counters)
    changed = [
        _seen(before[name], one, now, read)
        for name, one in sorted(counters.items())
        if before[name].seen < now
    ]
    if changed:
        rows = [_bound("of", _key(one.name)) | _bound("new", _values(one)) for one in changed]
        await connection.execute(_updated(COUNTERS), rows)


def _seen(before: Noted, counter: Counter, now: int, read: int) -> Noted:
    """What is noted of a counter that is seen.

    Args:
        before: What was noted.
        counter: As the store has it.
        now: A moment before it was read.
        read: And one after it.
    """
    window = window_of(before.name, now)
    if window is None or not before.goes_on(window):
        return Noted(before.name, counter.since, now)
    # One that was lost and has begun anew still counts from its beginning.
    since = min(before.since, counter.since)
    return replace(before.with_spent(counter, window, read), since=since, seen=now)


async def _stored(
    connection: AsyncConnection, names: Iterable[CounterName]
) -> dict[CounterName, Noted]:
    partitions = {name.partition for name in names}
    subjects = {name.subject for name in names}
    query = select(COUNTERS).where(
        COUNTERS.c.partition.in_(partitions), COUNTERS.c.subject.in_(subjects)
    )
    # Whoever notes at the same time waits, and lowers nothing.
    rows = await connection.execute(query.order_by(*_COLUMNS).with_for_update())
    return {noted.name: noted for noted in map(_noted, rows)}


def _updated(table: Table) -> Any:
    return (
        update(table)
        .where(
            table.c.partition == bindparam("of_partition"),
            table.c.subject == bindparam("of_subject"),
            table.c.rule == bindparam("of_rule"),
        )
        .values({name: bindparam(f"new_{name}") for name in _VALUES})
    )


def _key(name: CounterName) -> dict[str, Any]:
    return {"partition": name.partition, "subject": name.subject, "rule": name.rule}


def _values(noted: Noted) -> dict[str, int]:
    return {name: getattr(noted, name) for name in _VALUES}


def _bound(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in values.items()}


def _noted(row: Any) -> Noted:
    name = CounterName(row.partition, row.subject, row.rule)
    return Noted(name, *(getattr(row, column) for column in _VALUES))
