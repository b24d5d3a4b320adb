"""What the ledger says that counters should hold."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.counters import (
    MICROSECONDS,
    NOTHING_USED,
    Place,
    Used,
    Wanted,
    runs_over,
    shares_of,
)
from meshgate.quota.ledger.entries import ADJUSTMENT_KINDS, RECORD_KINDS, Entry, EntryKind
from meshgate.quota.ledger.entry_ids import known_ids
from meshgate.quota.ledger.schema import ENTRIES, ERASURES, HEADS, IDS, STARTS
from meshgate.quota.ledger.sums import sums_of

_PLACE = ("shard", "sequence", "booked_time")
_NEVER = 2**63 - 1

Dated = tuple[int, Used]
"""When something counts, in microseconds, and how much it is."""


class Waiting(Struct, frozen=True):
    """An entry on its way to the ledger, and whether a counter that was read has it for sure."""

    entry: Entry
    is_sure: bool = True


class Booked(Struct, frozen=True):
    """What a counter should hold: between these, as entries came while it was read."""

    least: Used
    most: Used


class Sight(Struct, frozen=True):
    """What one look at the ledger showed.

    Attributes:
        booked: By counter.
        erased: When entries were erased last, in microseconds; 0 for never.
        starts: Of shards whose old entries were dropped: when what is left begins, in microseconds.
    """

    booked: Mapping[Wanted, Booked]
    erased: int
    starts: Mapping[int, int]

    def has_all(self, wanted: Wanted) -> bool:
        """Whether the ledger has all that the counter counts; else it says the least of it."""
        starts = self.starts
        if wanted.name.is_wide:
            # A shard of which nothing is left does not say when: what retention left elsewhere does.
            told = [start for start in starts.values() if start != _NEVER]
            dropped = max(told or starts.values(), default=0)
        else:
            dropped = starts.get(wanted.name.shard, 0)
        lacks_until = max(self.erased, dropped)
        return not lacks_until or wanted.start * MICROSECONDS > lacks_until


class Straddling(Struct, frozen=True):
    """What records that ran over a moment say is used, by subject.

    Attributes:
        before: Booked before it.
        after: Booked after it.
    """

    before: Mapping[Place, Used]
    after: Mapping[Place, Used]


class LedgerBooks:
    """Reads the ledger."""

    def __init__(self, database: CheckedDatabase) -> None:
        self._database = database

    async def heads(self) -> Mapping[int, int]:
        """The sequence of the last entry of each shard.

        Raises:
            ServiceUnavailableError: The database does not answer.
        """
        async with self._database.reading() as connection:
            rows = await connection.execute(select(HEADS.c.shard, HEADS.c.sequence))
            return {row.shard: row.sequence for row in rows}

    async def look(
        self, wanted: Sequence[Wanted], waiting: Iterable[Waiting], heads: Mapping[int, int]
    ) -> Sight:
        """What the counters should hold.

        Args:
            wanted: Which.
            waiting: What waits for the ledger in the shards that they count; may be in it by now.
            heads: Of the shards that they count, before the counters were read. What the ledger has
                beyond them, and does not wait, may be in the counters or not.

        Raises:
            ServiceUnavailableError: The database does not answer.
        """
        by_id = {one.entry.entry_id: one for one in waiting}
        places = {one.name.place for one in wanted}
        async with self._database.reading() as connection:
            sums = await sums_of(connection, wanted)
            adjusted = await _adjusted(connection, wanted, places)
            known = await known_ids(connection, list(by_id))
            fresh = await _fresh(connection, heads)
            erased = await connection.scalar(select(func.max(ERASURES.c.time))) or 0
            starts = await _starts(connection)
        # What is in the ledger is in its sums, and what is not is added. What is not sure to be in the
        # counters is taken out of the sums, and makes a span.
        sure = [one.entry for one in by_id.values() if one.is_sure]
        unsure = [one.entry for one in by_id.values() if not one.is_sure]
        unsure += [entry for entry in fresh if entry.entry_id not in by_id]
        in_sums = known | {entry.entry_id for entry in fresh}
        plus = _dated_shares((one for one in sure if one.entry_id not in in_sums), places)
        minus = _dated_shares((one for one in unsure if one.entry_id in in_sums), places)
        maybe = _dated_shares(unsure, places)
        booked = {}
        for one in wanted:
            place = one.name.place
            sums[one] += _summed(one, [*adjusted[place], *plus[place]])
            sums[one] += _summed(one, minus[place]).times(-1)
            each = [used for moment, used in maybe[place] if one.counts(moment)]
            booked[one] = Booked(
                sum((used.at_most_nothing() for used in each), sums[one]),
                sum((used.times(-1).at_most_nothing().times(-1) for used in each), sums[one]),
            )
        return Sight(booked, erased, starts)

    async def straddling(self, boundary: int, span_ms: int, shards: Sequence[int]) -> Straddling:
        """What is booked on one side of a moment, and may be counted on the other.

        Args:
            boundary: The moment, in milliseconds.
            span_ms: How long before and after it to look.
            shards: Where.

        Raises:
            ServiceUnavailableError: The database does not answer.
        """
        moment, span = boundary * MICROSECONDS, span_ms * MICROSECONDS
        query = (
            select(ENTRIES.c.kind, ENTRIES.c.content, ENTRIES.c.booked_time)
            .join(IDS, and_(*(IDS.c[name] == ENTRIES.c[name] for name in _PLACE)))
            .where(
                IDS.c.booked_time.between(moment - span, moment + span),
                IDS.c.shard.in_(shards),
                ENTRIES.c.kind.in_([int(kind) for kind in RECORD_KINDS]),
                ENTRIES.c.content.is_not(None),
            )
        )
        before: dict[Place, Used] = defaultdict(Used)
        after: dict[Place, Used] = defaultdict(Used)
        async with self._database.reading() as connection:
            for kind, content, booked_time in await connection.execute(query):
                if runs_over(content, boundary):
                    side = before if booked_time < moment else after
                    for share in shares_of(EntryKind(kind), content):
                        side[share.place] += share.used
        return Straddling(before, after)


def _summed(one: Wanted, dated: Iterable[Dated]) -> Used:
    return sum((used for moment, used in dated if one.counts(moment)), NOTHING_USED)


def _dated_shares(entries: Iterable[Entry], places: set[Place]) -> dict[Place, list[Dated]]:
    """What entries add to the counters of some subjects."""
    found: dict[Place, list[Dated]] = defaultdict(list)
    for entry in entries:
        for share in shares_of(entry.kind, entry.content):
            if share.place in places:
                found[share.place].append((entry.booked_time, share.used))
    return found


async def _adjusted(
    connection: AsyncConnection, wanted: Sequence[Wanted], places: set[Place]
) -> dict[Place, list[Dated]]:
    """Adjustments count for the subjects that they name, wherever their lines stand.

    Of those that were erased nothing but the lines is left: see `sums_of`.
    """
    start = min((one.start for one in wanted), default=0) * MICROSECONDS
    query = select(ENTRIES.c.kind, ENTRIES.c.booked_time, ENTRIES.c.content).where(
        ENTRIES.c.shard.in_({one.name.shard for one in wanted}),
        ENTRIES.c.kind.in_([int(kind) for kind in ADJUSTMENT_KINDS]),
        ENTRIES.c.booked_time >= start,
        ENTRIES.c.content.is_not(None),
    )
    found = [_entry(row) for row in await connection.execute(query)]
    return _dated_shares(found, places)


async def _fresh(connection: AsyncConnection, heads: Mapping[int, int]) -> list[Entry]:
    """What came after these."""
    found: list[Entry] = []
    for shard, sequence in heads.items():
        query = select(
            ENTRIES.c.kind, ENTRIES.c.booked_time, ENTRIES.c.content, ENTRIES.c.entry_id
        ).where(
            ENTRIES.c.shard == shard,
            ENTRIES.c.sequence > sequence,
            ENTRIES.c.content.is_not(None),
        )
        found.extend(_entry(row, row.entry_id, shard) for row in await connection.execute(query))
    return found


async def _starts(connection: AsyncConnection) -> dict[int, int]:
    """Retention drops what is oldest, so that nothing dropped is later than the first that is left."""
    first = and_(ENTRIES.c.shard == STARTS.c.shard, ENTRIES.c.sequence == STARTS.c.sequence + 1)
    query = (
        select(STARTS.c.shard, ENTRIES.c.booked_time)
        .outerjoin(ENTRIES, first)
        .where(STARTS.c.sequence > 0)
    )
    rows = await connection.execute(query)
    return {shard: _NEVER if begin is None else begin for shard, begin in rows}


def _entry(row: Any, entry_id: str = "", shard: int = 0) -> Entry:
    return Entry(shard, entry_id, EntryKind(row.kind), row.booked_time, row.content)
