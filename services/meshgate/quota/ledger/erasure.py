"""One erasure: it takes the content of entries away, and the ledger tells of it for good."""

from collections.abc import Callable, Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.entries import CHAIN_START
from meshgate.quota.ledger.hours import drop_lines, lock_sums
from meshgate.quota.ledger.insertion import insert_missing
from meshgate.quota.ledger.labels import Kind
from meshgate.quota.ledger.schema import ENTRIES, ERASURES, HEADS, LINES
from meshgate.quota.ledger.stretches import Ends, heads
from meshgate.quota.shards import SHARD_COUNT

_MOST_A_QUERY = 1_000
_MICROSECONDS = 1_000_000

Places = Sequence[tuple[int, int]]
"""Entries of one chain: sequence and booked time of each."""


class Erasure:
    """One that has begun.

    Args:
        kind: What is erased. Whose is told nowhere: that would not be erasing.
        principal_id: Who wanted it.
        now: The time in seconds.
    """

    def __init__(self, kind: Kind, principal_id: str, now: Callable[[], float]) -> None:
        self._kind = kind
        self._principal_id = principal_id
        self._now = now
        self._erasure_id = 0
        self.entries = 0

    async def begin(self, connection: AsyncConnection) -> None:
        """Before anything is gone: what has no content must have been erased."""
        self._erasure_id = await self._insert(connection)

    async def erase(self, connection: AsyncConnection, shard: int, places: Places) -> None:
        """Take content away, and count what had any; the lines too where all shall be gone."""
        erased = 0
        if self._kind is Kind.ORGANIZATION:
            await lock_sums(connection)
        for begin in range(0, len(places), _MOST_A_QUERY):
            some = places[begin : begin + _MOST_A_QUERY]
            erased += await _take_content(connection, shard, some)
            if self._kind is Kind.ORGANIZATION:
                await _drop_lines(connection, shard, some)
        row = ERASURES.c.erasure_id == self._erasure_id
        counted = update(ERASURES).where(row).values(entries=ERASURES.c.entries + erased)
        await connection.execute(counted)
        self.entries += erased

    async def finish(self, connection: AsyncConnection) -> None:
        """Last, with the heads locked. The new number tells whoever appends to look names up."""
        begun, self._erasure_id = self._erasure_id, await self._insert(connection)
        await connection.execute(delete(ERASURES).where(ERASURES.c.erasure_id == begun))

    async def _insert(self, connection: AsyncConnection) -> int:
        row = {
            "time": round(self._now() * _MICROSECONDS),
            "kind": int(self._kind),
            "principal_id": self._principal_id,
            "entries": self.entries,
        }
        inserted = await connection.execute(insert(ERASURES).values(row))
        key = inserted.inserted_primary_key
        return int(key[0]) if key else 0


async def lock_heads(connection: AsyncConnection) -> Ends:
    """Keep everybody from appending, to whatever shard; where the chains end."""
    rows = [{"shard": shard, "sequence": 0, "chain": CHAIN_START} for shard in range(SHARD_COUNT)]
    await insert_missing(connection, HEADS, rows)
    await connection.execute(select(HEADS.c.shard).order_by(HEADS.c.shard).with_for_update())
    return await heads(connection)


async def _take_content(connection: AsyncConnection, shard: int, places: Places) -> int:
    taken = update(ENTRIES).where(
        ENTRIES.c.shard == shard,
        ENTRIES.c.sequence.in_([sequence for sequence, _ in places]),
        # So that only the months in question are looked at.
        ENTRIES.c.booked_time.between(*_times(places)),
        ENTRIES.c.content.is_not(None),
    )
    return (await connection.execute(taken.values(content=None))).rowcount


async def _drop_lines(connection: AsyncConnection, shard: int, places: Places) -> None:
    which = LINES.c.sequence.in_([sequence for sequence, _ in places])
    await drop_lines(connection, shard, which, (booked_time for _, booked_time in places))


def _times(places: Places) -> tuple[int, int]:
    times = [booked_time for _, booked_time in places]
    return min(times), max(times)
