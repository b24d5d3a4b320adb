"""Where entries lie that tell of somebody, and what names lines refer to."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.entries import EntryKind
from meshgate.quota.ledger.labels import Kind, storable
from meshgate.quota.ledger.schema import ENTRIES, LABELS, LINES, NO_LABEL
from meshgate.quota.ledger.stretches import Stretch

_LABELLED = tuple(LINES.c[kind.name.lower()] for kind in Kind)


class User(Struct, frozen=True):
    """A user as lines know it.

    Attributes:
        name: Its id.
        number: Of its label; None where there is none.
        keys: The numbers of the labels of its own keys.
    """

    name: str
    number: int | None
    keys: frozenset[int]

    async def places(
        self, connection: AsyncConnection, stretch: Stretch
    ) -> Sequence[tuple[int, int]]:
        """Sequence and booked time of the entries that tell of it."""
        its_keys = and_(LINES.c.user == NO_LABEL, LINES.c.key.in_(sorted(self.keys)))
        its_own = false() if self.number is None else or_(LINES.c.user == self.number, its_keys)
        return await _places(connection, stretch, its_own, self.name)


class Organization(Struct, frozen=True):
    """An organization, likewise."""

    name: str
    number: int | None

    async def places(
        self, connection: AsyncConnection, stretch: Stretch
    ) -> Sequence[tuple[int, int]]:
        """Likewise."""
        its_own = false() if self.number is None else LINES.c.organization == self.number
        return await _places(connection, stretch, its_own, self.name)


async def _places(
    connection: AsyncConnection, stretch: Stretch, its_own: ColumnElement[bool], name: str
) -> Sequence[tuple[int, int]]:
    query = select(LINES.c.sequence, LINES.c.booked_time).distinct()
    rows = await connection.execute(query.where(stretch.within(LINES), its_own))
    places = {(row.sequence, row.booked_time) for row in rows}
    return sorted(places | await _unreadable(connection, stretch, name))


async def _unreadable(
    connection: AsyncConnection, stretch: Stretch, name: str
) -> set[tuple[int, int]]:
    """Those that no line leads to, as nobody can read them: whatever has the name in it."""
    query = select(ENTRIES.c.sequence, ENTRIES.c.booked_time, ENTRIES.c.content).where(
        stretch.within(ENTRIES),
        ENTRIES.c.kind == int(EntryKind.UNREADABLE),
        ENTRIES.c.content.is_not(None),
    )
    found = name.encode()
    rows = await connection.execute(query)
    return {(row.sequence, row.booked_time) for row in rows if found in row.content}


async def label_number(connection: AsyncConnection, kind: Kind, name: str) -> int | None:
    """The number of a name, if it has one."""
    query = select(LABELS.c.label_id).where(
        LABELS.c.kind == int(kind), LABELS.c.text == storable(name)
    )
    number: int | None = await connection.scalar(query)
    return number


async def users_of_keys(connection: AsyncConnection, stretch: Stretch) -> set[tuple[int, int]]:
    """Which users were seen with which keys: the numbers of key and user."""
    query = select(LINES.c.key, LINES.c.user).distinct()
    rows = await connection.execute(query.where(stretch.within(LINES), LINES.c.key != NO_LABEL))
    return {(row.key, row.user) for row in rows}


async def used_labels(connection: AsyncConnection, stretch: Stretch) -> set[int]:
    """The numbers of all names that lines refer to."""
    query = select(*_LABELLED).distinct()
    rows = await connection.execute(query.where(stretch.within(LINES)))
    return {number for row in rows for number in row}
