"""Erasing in SQLite or PostgreSQL, in bounded transactions.

First what is there, a stretch at a time; then, while nobody can append, what has come meanwhile, and
the names.
"""

import time
from collections.abc import Callable, Iterable

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.erasing import nameless, owned_keys, required
from meshgate.quota.ledger.erasure import Erasure, lock_heads
from meshgate.quota.ledger.labels import Kind
from meshgate.quota.ledger.schema import COUNTERS, LABELS, NO_LABEL
from meshgate.quota.ledger.stretches import Ends, Stretch, heads, starts, stretches
from meshgate.quota.ledger.subjects import (
    Organization,
    User,
    label_number,
    used_labels,
    users_of_keys,
)

_MOST_A_QUERY = 5_000


class SqlEraser:
    """An `Erasing`.

    Args:
        database: Where the ledger is.
        now: The time in seconds.
    """

    def __init__(self, database: CheckedDatabase, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def erase_user(self, user_id: str, principal_id: str) -> int:
        required("user_id", user_id)
        erasure = await self._begin(Kind.USER, principal_id)
        while not await self._erase_user(user_id, erasure):
            pass
        return erasure.entries

    async def erase_organization(self, organization_id: str, principal_id: str) -> int:
        required("organization_id", organization_id)
        erasure = await self._begin(Kind.ORGANIZATION, principal_id)
        while not await self._erase_organization(organization_id, erasure):
            pass
        return erasure.entries

    async def _begin(self, kind: Kind, principal_id: str) -> Erasure:
        erasure = Erasure(kind, principal_id, self._now)
        async with self._database.writing() as connection:
            await erasure.begin(connection)
        return erasure

    async def _erase_user(self, user_id: str, erasure: Erasure) -> bool:
        """Whether that was all: not if it was seen with another key meanwhile, or for the first time."""
        begin, end = await self._extent()
        number = await self._number(Kind.USER, user_id)
        pairs: set[tuple[int, int]] = set()
        for stretch in stretches(begin, end):
            async with self._database.reading() as connection:
                pairs |= await users_of_keys(connection, stretch)
        user = User(user_id, number, _keys(number, pairs))
        await self._erase(erasure, user, stretches(begin, end))
        async with self._database.writing() as connection:
            rest = list(stretches(end, await lock_heads(connection)))
            for stretch in rest:
                pairs |= await users_of_keys(connection, stretch)
            if await _is_other(connection, Kind.USER, user) or _keys(number, pairs) != user.keys:
                return False
            await _erase_rest(connection, erasure, user, rest)
            await _rename(connection, user)
            await erasure.finish(connection)
        return True

    async def _erase_organization(self, organization_id: str, erasure: Erasure) -> bool:
        """Whether that was all: not if it was seen for the first time meanwhile."""
        begin, end = await self._extent()
        organization = Organization(
            organization_id, await self._number(Kind.ORGANIZATION, organization_id)
        )
        await self._erase(erasure, organization, stretches(begin, end))
        used: set[int] = set()
        for stretch in stretches(begin, end):
            async with self._database.reading() as connection:
                used |= await used_labels(connection, stretch)
        async with self._database.writing() as connection:
            rest = list(stretches(end, await lock_heads(connection)))
            if await _is_other(connection, Kind.ORGANIZATION, organization):
                return False
            await _erase_rest(connection, erasure, organization, rest)
            for stretch in rest:
                used |= await used_labels(connection, stretch)
            await _drop_unused(connection, used)
            await connection.execute(
                delete(COUNTERS).where(COUNTERS.c.partition == organization_id)
            )
            await erasure.finish(connection)
        return True

    async def _extent(self) -> tuple[Ends, Ends]:
        async with self._database.reading() as connection:
            return await starts(connection), await heads(connection)

    async def _number(self, kind: Kind, name: str) -> int | None:
        async with self._database.reading() as connection:
            return await label_number(connection, kind, name)

    async def _erase(
        self, erasure: Erasure, subject: User | Organization, some: Iterable[Stretch]
    ) -> None:
        for stretch in some:
            async with self._database.reading() as connection:
                places = await subject.places(connection, stretch)
            if places:
                async with self._database.writing() as connection:
                    await erasure.erase(connection, stretch.shard, places)


def _keys(user: int | None, pairs: Iterable[tuple[int, int]]) -> frozenset[int]:
    return frozenset() if user is None else owned_keys(user, pairs)


async def _is_other(connection: AsyncConnection, kind: Kind, subject: User | Organization) -> bool:
    return await label_number(connection, kind, subject.name) != subject.number


async def _erase_rest(
    connection: AsyncConnection,
    erasure: Erasure,
    subject: User | Organization,
    rest: Iterable[Stretch],
) -> None:
    for stretch in rest:
        places = await subject.places(connection, stretch)
        if places:
            await erasure.erase(connection, stretch.shard, places)


async def _rename(connection: AsyncConnection, user: User) -> None:
    """Its lines stay, under names of nobody. Its counters are forgotten."""
    subjects = [f"user/{user.name}"]
    numbers = sorted(user.keys if user.number is None else {user.number, *user.keys})
    for number in numbers:
        row = LABELS.c.label_id == number
        found = await connection.execute(select(LABELS.c.kind, LABELS.c.text).where(row))
        label = found.one_or_none()
        if label is None:
            # Its organization was erased meanwhile, and nobody else used it.
            continue
        if label.kind == Kind.KEY:
            subjects.append(f"key/{label.text}")
        await connection.execute(update(LABELS).where(row).values(text=nameless()))
    await connection.execute(delete(COUNTERS).where(COUNTERS.c.subject.in_(subjects)))


async def _drop_unused(connection: AsyncConnection, used: set[int]) -> None:
    """Forget all names that no line refers to.

    The highest number stays, under no name: SQLite would give it to the next name, and another who
    erases may still take it for what it was.
    """
    numbers = set((await connection.execute(select(LABELS.c.label_id))).scalars())
    highest = max(numbers, default=NO_LABEL)
    if highest not in used:
        row = LABELS.c.label_id == highest
        await connection.execute(update(LABELS).where(row).values(text=nameless()))
    unused = sorted(numbers - used - {highest})
    for begin in range(0, len(unused), _MOST_A_QUERY):
        some = unused[begin : begin + _MOST_A_QUERY]
        await connection.execute(delete(LABELS).where(LABELS.c.label_id.in_(some)))
