"""Going through the whole ledger in bounded steps: a stretch of a chain at a time."""

from collections.abc import Iterator, Mapping

from msgspec import Struct
from sqlalchemy import ColumnElement, Table, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.schema import HEADS, STARTS

_LONGEST = 2_000

Ends = Mapping[int, int]
"""Up to which sequence each chain goes."""


class Stretch(Struct, frozen=True):
    """Of one chain, what comes after a sequence, up to and with another."""

    shard: int
    after: int
    last: int

    def within(self, table: Table) -> ColumnElement[bool]:
        """What of a table lies in it."""
        sequence = table.c.sequence
        return and_(table.c.shard == self.shard, sequence > self.after, sequence <= self.last)


async def starts(connection: AsyncConnection) -> Ends:
    """After which sequence each chain begins; those that begin at 1 are left out."""
    return await _sequences(connection, STARTS)


async def heads(connection: AsyncConnection) -> Ends:
    """Where the chains end by now."""
    return await _sequences(connection, HEADS)


def stretches(after: Ends, up_to: Ends) -> Iterator[Stretch]:
    """All that lies between, in their order."""
    for shard, end in sorted(up_to.items()):
        for begin in range(after.get(shard, 0), end, _LONGEST):
            yield Stretch(shard, begin, min(begin + _LONGEST, end))


async def _sequences(connection: AsyncConnection, table: Table) -> Ends:
    rows = await connection.execute(select(table.c.shard, table.c.sequence))
    return {row.shard: row.sequence for row in rows}
