"""What the records of all kinds have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.auth.credentials import Peppers
from meshgate.auth.directory import EVERYTHING, KeyState, Page, Query
from meshgate.auth.page_tokens import PageTokens, Position
from meshgate.auth.page_tokens import page_size as size_of_page
from meshgate.auth.records import Record
from meshgate.auth.rules import check_text, is_id
from meshgate.auth.sql.change_log import ChangeLog, Writing
from meshgate.auth.sql.rows import Row, micros
from meshgate.database.database import Database
from meshgate.runtime.errors import (
    AlreadyExistsError,
    EtagMismatchError,
    FailedPreconditionError,
    InvalidRequestError,
    NotFoundError,
)

R = TypeVar("R", bound=Record)
Conditions = list[ColumnElement[bool]]

_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Tools:
    """What collections work with.

    Attributes:
        database: Where the records are.
        log: Where changes of them are told.
        peppers: What signs page tokens, and hashes secrets.
        now: The time.
        new_id: Makes an id with a prefix.
    """

    database: Database
    log: ChangeLog
    peppers: Peppers
    now: Callable[[], datetime]
    new_id: Callable[[str], str]


class SqlCollection(ABC, Generic[R]):
    """A `Collection` of records in a table. Each kind says what is its own."""

    kind: ClassVar[str]
    table: ClassVar[Table]
    filters: ClassVar[frozenset[str]]
    """The fields of a query that have a meaning."""
    fixed: ClassVar[tuple[str, ...]] = ("id", "organization_id")
    """The fields that never change."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._tokens = PageTokens(tools.peppers)
        self._id = next(iter(self.table.primary_key))

    @abstractmethod
    def _checked(self, record: R) -> R:
        """The record, with its fields in order. Raises InvalidRequestError."""

    @abstractmethod
    def _values(self, record: R) -> dict[str, Any]:
        """The columns that hold what a record is given."""

    @abstractmethod
    async def _records(self, connection: AsyncConnection, rows: Sequence[Row]) -> tuple[R, ...]:
        """The records in rows."""

    @abstractmethod
    async def _check_references(
        self, connection: AsyncConnection, record: R, before: R | None
    ) -> None:
        """Check what a record refers to, and that nothing is left behind that referred to it."""

    @abstractmethod
    async def _check_unused(self, connection: AsyncConnection, record: R) -> None:
        """Check that nothing belongs to a record. Raises FailedPreconditionError."""

    @abstractmethod
    async def _affected(self, connection: AsyncConnection, record: R, before: R) -> Iterable[str]:
        """The keys whose principals change with the record, or more than can be named."""

    async def _write_parts(self, connection: AsyncConnection, record: R) -> None:
        """Write what of a record is in other tables."""

    async def _delete_parts(self, connection: AsyncConnection, record: R) -> None:
        """Delete what of a record is in other tables."""

    def _unique(self, record: R) -> Iterable[tuple[str, str, Conditions]]:
        """Fields that no two records may share: the field, its value, and among which it counts."""
        within = [self.table.c.organization_id == record.organization_id]
        yield "name", record.name, within

    def _conditions(self, query: Query) -> Conditions:
        """The rows that fit a query, but for names."""
        if not query.organization_id:
            return []
        return [self.table.c.organization_id == query.organization_id]

    async def get(self, record_id: str) -> R:
        async with self._tools.database.reading() as connection:
            return await self._one(connection, record_id)

    async def list(
        self, query: Query = EVERYTHING, page_size: int = 0, page_token: str = ""
    ) -> Page[R]:
        size = size_of_page(page_size)
        self._check_query(query)
        begin = self._tokens.position(self.kind, query, page_token)
        if not all(is_id(of) for of in (query.organization_id, query.team_id, query.user_id) if of):
            return Page((), "")
        name, identifier = self.table.c.name, self._id
        conditions = [*self._conditions(query), *self._named(query.name_prefix)]
        if begin is not None:
            conditions.append(tuple_(name, identifier) > tuple_(begin.name, begin.record_id))
        statement = select(self.table).where(*conditions).order_by(name, identifier).limit(size + 1)
        async with self._tools.database.reading() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            records = await self._records(connection, rows[:size])
        if len(rows) <= size:
            return Page(records, "")
        end = Position(records[-1].name, records[-1].id)
        return Page(records, self._tokens.token(self.kind, query, end))

    async def update(self, record_id: str, change: Callable[[R], R], etag: str = "") -> R:
        async with self._tools.log.writing() as writing:
            before = await self._one(writing.connection, record_id, etag)
            record = self._checked(change(before))
            self._check_fixed(before, record)
            if record == before:
                return before
            await self._check_references(writing.connection, record, before)
            await self._check_unique(writing.connection, record)
            await self._write(writing.connection, record_id, self._values(record))
            await self._write_parts(writing.connection, record)
            writing.changed_ids.add(record_id)
            writing.changed_ids.update(await self._affected(writing.connection, record, before))
            return await self._one(writing.connection, record_id)

    async def delete(self, record_id: str, etag: str = "") -> None:
        async with self._tools.log.writing() as writing:
            record = await self._one(writing.connection, record_id, etag)
            await self._check_unused(writing.connection, record)
            await self._delete_parts(writing.connection, record)
            await writing.connection.execute(delete(self.table).where(self._id == record_id))
            writing.changed_ids.add(record_id)

    async def _insert(
        self, writing: Writing, record_id: str, record: R, more: dict[str, Any] | None = None
    ) -> R:
        """Keep a new record; `more` are columns that it is not given itself."""
        identity: dict[str, Any] = {self._id.name: record_id}
        record = self._checked(replace(record, **identity))
        await self._check_references(writing.connection, record, None)
        await self._check_unique(writing.connection, record)
        now = micros(self._tools.now())
        values = {
            **self._values(record),
            **(more or {}),
            self._id.name: record_id,
            "create_time": now,
            "update_time": now,
            "version": 1,
        }
        await writing.connection.execute(insert(self.table).values(values))
        await self._write_parts(writing.connection, record)
        writing.changed_ids.add(record_id)
        return await self._one(writing.connection, record_id)

    async def _write(
        self, connection: AsyncConnection, record_id: str, values: dict[str, Any]
    ) -> None:
        """Change columns of a record, and its etag."""
        await connection.execute(
            update(self.table)
            .where(self._id == record_id)
            .values(
                **values,
                update_time=micros(self._tools.now()),
                version=self.table.c.version + 1,
            )
        )

    async def _one(self, connection: AsyncConnection, record_id: str, etag: str = "") -> R:
        row = None
        if is_id(record_id):
            found = await connection.execute(select(self.table).where(self._id == record_id))
            row = found.mappings().one_or_none()
        if row is None:
            raise not_found(self.kind, record_id)
        [record] = await self._records(connection, [row])
        if etag and etag != record.etag:
            raise EtagMismatchError(
                f"the {self.kind} {record_id} was changed meanwhile: read it again",
                resource=self.kind,
                id=record_id,
            )
        return record

    async def _check_unique(self, connection: AsyncConnection, record: R) -> None:
        for field, value, among in self._unique(record):
            same = select(self._id).where(*among, self.table.c[field] == value)
            other = await connection.scalar(same.where(self._id != record.id))
            if other is not None:
                raise AlreadyExistsError(
                    f"there is a {self.kind} with the {field} {value} already: {other}",
                    field=field,
                    resource=self.kind,
                    value=value,
                    id=other,
                )

    def _check_fixed(self, before: R, record: R) -> None:
        for field in self.fixed:
            if getattr(record, field) != getattr(before, field):
                raise InvalidRequestError(
                    f"{field}: never changes: make another {self.kind}",
                    field=field,
                    resource=self.kind,
                )

    def _check_query(self, query: Query) -> None:
        stated = {
            "organization_id": query.organization_id,
            "team_id": query.team_id,
            "user_id": query.user_id,
            "key_state": query.key_state is not KeyState.ANY,
        }
        for field, value in stated.items():
            if value and field not in self.filters:
                raise InvalidRequestError(
                    f"{field}: no {self.kind} is found by it", field=field, resource=self.kind
                )

    def _named(self, prefix: str) -> Conditions:
        if not prefix:
            return []
        name = self.table.c.name
        check_text("name_prefix", prefix)
        return [name >= prefix, name < prefix + _LAST_CHARACTER]


def not_found(kind: str, record_id: str, field: str | None = None) -> NotFoundError:
    """There is no such record."""
    shown = record_id[:100]
    return NotFoundError(f"there is no {kind} {shown!r}", field=field, resource=kind, id=shown)


async def check_exists(connection: AsyncConnection, table: Table, kind: str, **fields: str) -> None:
    """Check that there is a record with these fields, the first of which is its id.

    Raises:
        NotFoundError: There is none.
    """
    field, record_id = next(iter(fields.items()))
    if all(is_id(value) for value in fields.values()):
        same = (table.c[name] == value for name, value in fields.items())
        if await connection.scalar(select(table.c[field]).where(*same)) is not None:
            return
    raise not_found(kind, record_id, field)


async def check_none(
    connection: AsyncConnection,
    owner: str,
    plural: str,
    table: Table,
    *conditions: ColumnElement[bool],
) -> None:
    """Check that there are no such rows.

    Raises:
        FailedPreconditionError: There are some.
    """
    found = await connection.execute(select(func.count()).select_from(table).where(*conditions))
    count = found.scalar_one()
    if count:
        raise FailedPreconditionError(
            f"{owner} has {plural}, {count} of them: delete them first", count=str(count)
        )
