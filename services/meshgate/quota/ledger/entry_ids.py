"""Which entries are in the ledger already."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.schema import IDS

_MOST_A_QUERY = 5_000


async def known_ids(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Those of these ids that are."""
    known: set[str] = set()
    for begin in range(0, len(ids), _MOST_A_QUERY):
        some = ids[begin : begin + _MOST_A_QUERY]
        rows = await connection.execute(select(IDS.c.entry_id).where(IDS.c.entry_id.in_(some)))
        known.update(rows.scalars())
    return known
