"""A database: connections whose every wait is bounded."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from meshgate.database.schema import Schema
from meshgate.runtime.errors import ServiceUnavailableError

_WAIT_SECONDS = 1.0
_MOST_CONNECTIONS = 4
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
# Faults of ours, not of the database.
_BUGS = (IntegrityError, ProgrammingError, DataError)
# What PostgreSQL says to values that it cannot hold: data exceptions, and what passes a limit of its.
_REFUSED_VALUES = ("22", "54")


class DatabaseUnusableError(Exception):
    """The database cannot be used. The text is one sentence that says what to do."""


class Database:
    """Connections to one database, each transaction bounded in time.

    Args:
        schema: Whose tables it holds.
        url: As users write it: `sqlite:///path` or `postgresql://user:password@host/name`.
        wait_seconds: The most that a transaction takes, with all that it waits for.

    Raises:
        DatabaseUnusableError: The URL is not one.
    """

    def __init__(self, schema: Schema, url: str, *, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._schema = schema
        self._url = _parsed(schema, url)
        self._wait_seconds = wait_seconds
        self._errors: tuple[type[Exception], ...] = (SQLAlchemyError, OSError)
        if self.file:
            self._engine = _sqlite_engine(self._url, wait_seconds)
            return
        # Here, so that a service whose records are in SQLite loads nothing of it.
        from meshgate.database import postgresql  # noqa: PLC0415

        self._engine = postgresql.engine(self._url, schema.owner, wait_seconds, _MOST_CONNECTIONS)
        self._errors += postgresql.ERRORS

    @property
    def file(self) -> Path | None:
        """The file that holds it, if it is SQLite."""
        return _file(self._url)

    def __str__(self) -> str:
        """Which it is, for people: without the password."""
        if self.file:
            return str(self.file)
        url = self._url.set(drivername=self._url.get_backend_name(), query={})
        return url.render_as_string(hide_password=True)

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that sees one state and changes nothing. Raises as `writing`."""
        # SQLite does it anyway.
        return self._transaction({} if self.file else {"isolation_level": "REPEATABLE READ"})

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that is committed at the end of the block, or else rolled back.

        Raises:
            ServiceUnavailableError: The database cannot be reached, is locked, or does not answer
                in time.
        """
        if self.file:
            return self._transaction({"begin": "IMMEDIATE"})
        return self._transaction({"isolation_level": "READ COMMITTED"})

    @asynccontextmanager
    async def _transaction(self, options: Mapping[str, Any]) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(self._wait_seconds):
                async with self._engine.connect() as connection:
                    await connection.execution_options(**options)
                    async with connection.begin():
                        yield connection
        except _BUGS:
            raise
        except DBAPIError as error:
            if is_refused_value(error):
                raise
            raise _unavailable(self._schema.owner, error) from None
        except self._errors as error:
            raise _unavailable(self._schema.owner, error) from None

    async def check(self) -> None:
        """Check that the schema is the one that this version works with.

        Raises:
            DatabaseUnusableError: It is another one, or cannot be found out.
        """
        if self.file is not None and not self.file.is_file():
            raise DatabaseUnusableError(
                f"there is no database {self.file}: run `meshgate migrate` first"
            )
        try:
            async with self.reading() as connection:
                revision = await connection.run_sync(revision_of, self._schema)
        except ServiceUnavailableError as error:
            raise DatabaseUnusableError(
                f"the database {self} cannot be used ({error.values['cause']}): check "
                f"that it runs, and what {self._schema.url_variable} says"
            ) from None
        if revision == self._schema.latest:
            return
        if revision is None or revision in self._schema.revisions:
            raise DatabaseUnusableError(
                f"the schema of the database {self} is older than this version of "
                "Meshgate: run `meshgate migrate` first"
            )
        raise DatabaseUnusableError(
            f"the schema of the database {self} is newer than this version of Meshgate: "
            "run a newer one"
        )

    async def close(self) -> None:
        """Give all connections back."""
        await self._engine.dispose()


def revision_of(connection: Connection, schema: Schema) -> str | None:
    """The revision of a schema; None if there is no such schema."""
    version = schema.version
    if not connection.dialect.has_table(connection, version.name):
        return None
    revision: str | None = connection.scalar(select(version.c.version_num))
    return revision


def is_refused_value(error: DBAPIError) -> bool:
    """Whether the database is well, and cannot hold a value that it was given."""
    if isinstance(error, DataError):
        return True
    return str(getattr(error.orig, "sqlstate", None) or "").startswith(_REFUSED_VALUES)


def _unavailable(owner: str, error: Exception) -> ServiceUnavailableError:
    cause = "it does not answer in time"
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        cause = error.strerror or type(error).__name__
    elif isinstance(error, DBAPIError) and error.orig is not None:
        # What databases say may repeat what they were given.
        cause = str(error.orig) if _is_locked(error.orig) else type(error.orig).__name__
    elif not isinstance(error, TimeoutError | PoolTimeoutError):
        cause = type(error).__name__
    return ServiceUnavailableError(
        f"the records of {owner} cannot be reached: {cause}", retry_after_seconds=1, cause=cause
    )


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def _parsed(schema: Schema, text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.drivername not in _DRIVERS:
        # The text may hold a password.
        raise DatabaseUnusableError(
            f"{schema.url_variable} is no URL of a database: it must be of the form "
            "sqlite:///path or postgresql://user:password@host/name"
        )
    url = url.set(drivername=_DRIVERS[url.drivername])
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise DatabaseUnusableError(
            f"{schema.url_variable} names no file: it must be of the form sqlite:///path"
        )
    if "sslmode" in url.query:
        url = url.difference_update_query(["sslmode"]).update_query_dict(
            {"ssl": url.query["sslmode"]}
        )
    return url


def _file(url: URL) -> Path | None:
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def _sqlite_engine(url: URL, wait_seconds: float) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=_MOST_CONNECTIONS,
        max_overflow=0,
        pool_timeout=wait_seconds,
        connect_args={"timeout": wait_seconds * 0.9},
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Transactions are begun by us, not by the driver.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
