"""Links of chains that were kept elsewhere, on both databases."""

from quota.ledger.usage import MOMENT, charge, database_at, entries, record, told
from sqlalchemy import delete, update

from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.kept_links import ChainHead
from meshgate.quota.ledger.schema import ENTRIES, HEADS
from meshgate.quota.ledger.sql_books import SqlBooks
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_retention import SqlAgingBooks
from meshgate.quota.ledger.verification import Verifier

DAY_MS = 86_400_000


class Chain:
    """The chain of shard 3, an entry a day."""

    def __init__(self, database):
        self._ledger = SqlLedger(database)
        self._books = CheckedDatabase(database)
        self._verifier = Verifier(SqlBooks(self._books))
        self._number = 0

    async def grow(self, cost=7):
        one = record(f"h{self._number}", charge(cost))
        when = MOMENT + self._number * DAY_MS
        self._number += 1
        await self._ledger.append(entries(told(1, one, shard=3, grant_time=when)))

    async def kept(self):
        verified = await self._verifier.verify("", 0)
        return [ChainHead(head.shard, head.sequence, head.chain) for head in verified.heads]

    async def faults(self, kept):
        return [(fault.sequence, fault.message) for fault in await self._verifier.compare(kept)]

    async def drop_before(self, day):
        moment = (MOMENT + day * DAY_MS) * 1_000
        await SqlAgingBooks(self._books).drop_before(moment, lambda _: None)


async def test_a_chain_that_has_grown_goes_through_its_link(ledger_url):
    async with database_at(ledger_url) as database:
        chain = Chain(database)
        await chain.grow()
        kept = await chain.kept()
        for _ in range(2):
            await chain.grow()

        assert [link.sequence for link in kept] == [1]
        assert await chain.faults(kept) == []


async def test_a_chain_that_was_made_anew_and_has_grown_does_not(ledger_url):
    async with database_at(ledger_url) as database:
        chain = Chain(database)
        for _ in range(2):
            await chain.grow()
        kept = await chain.kept()
        async with database.writing() as connection:
            for table in (ENTRIES, HEADS):
                await connection.execute(delete(table))
        for _ in range(3):
            await chain.grow(cost=1)

        assert await chain.faults(kept) == [(2, "the chain is not the one that was kept")]


async def test_an_end_that_was_cut_off_is_missed(ledger_url):
    async with database_at(ledger_url) as database:
        chain = Chain(database)
        for _ in range(3):
            await chain.grow()
        kept = await chain.kept()
        async with database.writing() as connection:
            await connection.execute(delete(ENTRIES).where(ENTRIES.c.sequence > 1))
            await connection.execute(update(HEADS).values(sequence=1))

        assert await chain.faults(kept) == [(1, "entries that were there are gone from the end")]


async def test_what_was_dropped_because_of_its_age_is_compared_as_far_as_it_is_known(ledger_url):
    async with database_at(ledger_url) as database:
        chain = Chain(database)
        await chain.grow()
        first = await chain.kept()
        await chain.grow()
        second = await chain.kept()
        await chain.grow()
        await chain.drop_before(day=2)

        assert await chain.faults([*first, *second]) == []
        lie = [ChainHead(3, 2, bytes(32))]
        assert await chain.faults(lie) == [(2, "the chain is not the one that was kept")]
