"""Where chains begin, once their first entries were dropped."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.entries import CHAIN_START
from meshgate.quota.ledger.findings import Link
from meshgate.quota.ledger.insertion import insert_missing
from meshgate.quota.ledger.schema import STARTS


async def start_of(connection: AsyncConnection, shard: int) -> Link:
    """The last entry of a chain that was dropped; nobody else drops any until the transaction ends."""
    query = select(STARTS.c.sequence, STARTS.c.chain).where(STARTS.c.shard == shard)
    row = (await connection.execute(query.with_for_update())).one_or_none()
    return Link() if row is None else Link(row.sequence, row.chain)


async def begin_after(connection: AsyncConnection, shard: int, last: Link) -> None:
    """Let a chain begin after an entry."""
    values = {"sequence": last.sequence, "chain": last.chain}
    await connection.execute(update(STARTS).where(STARTS.c.shard == shard).values(values))


async def give_start(connection: AsyncConnection, shard: int) -> None:
    """Give a chain that begins at its first entry something to be locked by."""
    await insert_missing(
        connection, STARTS, [{"shard": shard, "sequence": 0, "chain": CHAIN_START}]
    )
