"""The changes of all records, in the order of their commits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.auth.feed import EVERYTHING_CHANGED, Changed, Changes
from meshgate.auth.sql.rows import texts_of, written
from meshgate.auth.sql.schema import CHANGE_HEAD, CHANGES
from meshgate.database.database import Database

# A process that has missed more of them starts afresh.
KEPT_CHANGES = 10_000
MOST_READ = 1_000
MOST_NAMED = 1_000


@dataclass(frozen=True, slots=True)
class Writing:
    """A transaction that changes records, the only one at its time.

    Attributes:
        connection: Where to write.
        changed_ids: The records that change, and all whose principals change with them.
    """

    connection: AsyncConnection
    changed_ids: set[str] = field(default_factory=set)


class ChangeLog:
    """Writes records together with the notice of their change, and reads the notices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Writing]:
        """A transaction that changes records, committed at the end of the block.

        Raises:
            ServiceUnavailableError: The database cannot be reached, or is locked for too long.
        """
        async with self._database.writing() as connection:
            count_up = update(CHANGE_HEAD).values(latest=CHANGE_HEAD.c.latest + 1)
            counted = await connection.execute(count_up.returning(CHANGE_HEAD.c.latest))
            sequence = counted.scalar_one()
            writing = Writing(connection)
            yield writing
            changed = _bounded(writing.changed_ids)
            ids = None if changed is None else written(sorted(changed))
            await connection.execute(insert(CHANGES).values(sequence=sequence, record_ids=ids))
            await connection.execute(
                delete(CHANGES).where(CHANGES.c.sequence <= sequence - KEPT_CHANGES)
            )

    async def since(self, seen: int | None) -> Changes:
        """What has changed since the sequence number; see `ChangeReader`."""
        async with self._database.reading() as connection:
            latest = (await connection.execute(select(CHANGE_HEAD.c.latest))).scalar_one()
            if latest == seen:
                return Changes(latest, frozenset())
            if seen is None or not 0 < latest - seen <= MOST_READ:
                return Changes(latest, EVERYTHING_CHANGED)
            rows = await connection.scalars(
                select(CHANGES.c.record_ids).where(CHANGES.c.sequence > seen)
            )
            texts = rows.all()
        if len(texts) != latest - seen or None in texts:
            return Changes(latest, EVERYTHING_CHANGED)
        return Changes(latest, frozenset(of for text in texts for of in texts_of(text)))


def _bounded(ids: set[str]) -> Changed:
    return frozenset(ids) if len(ids) <= MOST_NAMED else EVERYTHING_CHANGED
