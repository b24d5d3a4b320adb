"""The ledger in SQLite or PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.database.database import Database, is_refused_value
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.entries import CHAIN_START, Entry, Sealed, chained, digest_of
from meshgate.quota.ledger.entry_ids import known_ids
from meshgate.quota.ledger.insertion import insert_all, insert_missing
from meshgate.quota.ledger.keeper import Appended, LedgerRefusedError
from meshgate.quota.ledger.label_table import Label, LabelTable
from meshgate.quota.ledger.labels import Kind
from meshgate.quota.ledger.lines import Line
from meshgate.quota.ledger.months import Months
from meshgate.quota.ledger.schema import ENTRIES, HEADS, IDS, LINES, NO_LABEL
from meshgate.runtime.errors import ServiceUnavailableError

_LABELLED = {kind.name.lower(): kind for kind in Kind}
_RETRY_SECONDS = 1


class _Head(Struct):
    """The last entry of a shard."""

    sequence: int = 0
    chain: bytes = CHAIN_START


class SqlLedger:
    """A `Ledger`. Several processes may append at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = CheckedDatabase(database)
        self._months = Months(database)
        self._labels = LabelTable()

    async def append(self, entries: Sequence[Entry]) -> Appended:
        try:
            return await self._append(entries)
        except (DBAPIError, OverflowError):
            # Somebody may have dropped a month or a label, or have written the same just now.
            self._months.forget()
            self._labels.forget()
        try:
            return await self._append(entries)
        except (DBAPIError, OverflowError) as error:
            raise _refused(error) from None

    async def _append(self, entries: Sequence[Entry]) -> Appended:
        await self._database.check()
        await self._months.make(entry.booked_time for entry in entries)
        async with self._database.writing() as connection:
            fresh, numbers = await self._written(connection, entries)
        self._labels.remember(numbers)
        return Appended(fresh, len(entries) - len(fresh))

    async def _written(
        self, connection: AsyncConnection, entries: Sequence[Entry]
    ) -> tuple[list[Entry], Mapping[Label, int]]:
        """Those that are new, and the numbers of their labels."""
        # First of all: whoever appends to the same shards waits here.
        heads = await _locked_heads(connection, {entry.shard for entry in entries})
        known = await known_ids(connection, [entry.entry_id for entry in entries])
        fresh = [entry for entry in entries if not _is_repeated(entry, known)]
        if not fresh:
            return fresh, {}
        numbers = await self._labels.numbers(connection, _labels_of(fresh))
        rows = _Rows(numbers)
        for entry in fresh:
            rows.add(entry, heads[entry.shard])
        await rows.insert(connection)
        await _move_heads(connection, heads, {entry.shard for entry in fresh})
        return fresh, numbers


def _refused(error: DBAPIError | OverflowError) -> Exception:
    """Whether it is an entry's fault, or that of the tables, which must not spoil the entries.

    What databases say may repeat what they were given, so only the kind of it is told.
    """
    if isinstance(error, OverflowError) or is_refused_value(error):
        return LedgerRefusedError(type(error).__name__)
    return ServiceUnavailableError(
        f"the tables of the ledger are not as they should be: {type(error.orig).__name__}",
        retry_after_seconds=_RETRY_SECONDS,
    )


class _Rows:
    """The rows of new entries."""

    def __init__(self, numbers: Mapping[Label, int]) -> None:
        self._numbers = numbers
        self._ids: list[dict[str, Any]] = []
        self._entries: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []

    def add(self, entry: Entry, head: _Head) -> None:
        """The rows of an entry, which is the head of its shard from now on."""
        digest = digest_of(entry.content)
        head.sequence += 1
        sealed = Sealed(entry.kind, entry.booked_time, entry.entry_id, digest)
        head.chain = chained(head.chain, head.sequence, sealed)
        place = {
            "shard": entry.shard,
            "sequence": head.sequence,
            "booked_time": entry.booked_time,
        }
        self._ids.append({"entry_id": entry.entry_id, **place})
        self._entries.append(
            {
                "entry_id": entry.entry_id,
                "kind": int(entry.kind),
                "content": entry.content,
                "digest": digest,
                "chain": head.chain,
                **place,
            }
        )
        for number, line in enumerate(entry.lines):
            self._lines.append({**line_values(line, self._numbers), **place, "number": number})

    async def insert(self, connection: AsyncConnection) -> None:
        for table, rows in ((IDS, self._ids), (ENTRIES, self._entries), (LINES, self._lines)):
            if rows:
                await insert_all(connection, table, rows)


def labels_of(line: Line) -> list[Label]:
    """The names in a line."""
    return [(kind, name) for field, kind in _LABELLED.items() if (name := getattr(line, field))]


def line_values(line: Line, numbers: Mapping[Label, int]) -> dict[str, Any]:
    """The columns of a line, but for its place."""
    values: dict[str, Any] = asdict(line)
    for field, kind in _LABELLED.items():
        name = values[field]
        values[field] = numbers[kind, name] if name else NO_LABEL
    return values


def _labels_of(entries: Iterable[Entry]) -> set[Label]:
    return {label for entry in entries for line in entry.lines for label in labels_of(line)}


def _is_repeated(entry: Entry, known: set[str]) -> bool:
    """Whether it is known; from now on it is."""
    if entry.entry_id in known:
        return True
    known.add(entry.entry_id)
    return False


async def _locked_heads(connection: AsyncConnection, shards: set[int]) -> dict[int, _Head]:
    heads = await _select_heads(connection, shards)
    if missing := sorted(shards - heads.keys()):
        rows = [{"shard": shard, "sequence": 0, "chain": CHAIN_START} for shard in missing]
        await insert_missing(connection, HEADS, rows)
        heads = await _select_heads(connection, shards)
    return heads


async def _select_heads(connection: AsyncConnection, shards: set[int]) -> dict[int, _Head]:
    # In order, so that two transactions never wait for each other. SQLite has locked everything.
    query = select(HEADS).where(HEADS.c.shard.in_(shards)).order_by(HEADS.c.shard)
    rows = await connection.execute(query.with_for_update())
    return {row.shard: _Head(row.sequence, row.chain) for row in rows}


async def _move_heads(
    connection: AsyncConnection, heads: Mapping[int, _Head], shards: set[int]
) -> None:
    moved = update(HEADS).where(HEADS.c.shard == bindparam("of"))
    moved = moved.values(sequence=bindparam("last"), chain=bindparam("link"))
    values = [
        {"of": shard, "last": heads[shard].sequence, "link": heads[shard].chain}
        for shard in sorted(shards)
    ]
    await connection.execute(moved, values)
