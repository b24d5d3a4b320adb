"""Notes which counters there are, so that they can be looked for, and made again, when they are lost."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import structlog
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
        compared = [(name, one) for name, one in found if _is_used(name, one, now)]
        for begin in range(0, len(compared), _MOST_A_TRANSACTION):
            some = dict(compared[begin : begin + _MOST_A_TRANSACTION])
            async with self._database.writing() as connection:
                await _write(connection, some, now)
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
    connection: AsyncConnection, counters: Mapping[CounterName, Counter], now: int
) -> None:
    rows = [_key(name) | {"since": one.since, "seen": now} for name, one in counters.items()]
    await insert_missing(connection, COUNTERS, sorted(rows, key=lambda row: tuple(row.values())))
    before = await _stored(connection, counters)
    changed = [
        _bound(name) | {"new_since": _since(before[name], one, now), "new_seen": now}
        for name, one in sorted(counters.items())
        if before[name].seen < now
    ]
    if changed:
        await connection.execute(_updated(COUNTERS), changed)


def _since(before: Noted, counter: Counter, now: int) -> int:
    """From when on it counts: one that was lost and has begun anew still counts from its beginning."""
    window = window_of(before.name, now)
    if window is not None and before.goes_on(window):
        return min(before.since, counter.since)
    return counter.since


async def _stored(
    connection: AsyncConnection, names: Iterable[CounterName]
) -> dict[CounterName, Noted]:
    partitions = {name.partition for name in names}
    subjects = {name.subject for name in names}
    query = select(COUNTERS).where(
        COUNTERS.c.partition.in_(partitions), COUNTERS.c.subject.in_(subjects)
    )
    rows = await connection.execute(query)
    return {noted.name: noted for noted in map(_noted, rows)}


def _updated(table: Table) -> Any:
    return (
        update(table)
        .where(
            table.c.partition == bindparam("of_partition"),
            table.c.subject == bindparam("of_subject"),
            table.c.rule == bindparam("of_rule"),
        )
        .values(since=bindparam("new_since"), seen=bindparam("new_seen"))
    )


def _key(name: CounterName) -> dict[str, Any]:
    return {"partition": name.partition, "subject": name.subject, "rule": name.rule}


def _bound(name: CounterName) -> dict[str, Any]:
    return {f"of_{field}": value for field, value in _key(name).items()}


def _noted(row: Any) -> Noted:
    return Noted(CounterName(row.partition, row.subject, row.rule), row.since, row.seen)
