"""Databases for the tests of auth: every test that takes `database_url` runs on SQLite and PostgreSQL."""

import asyncio
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from auth.opened_records import PEPPERS, Clock
from postgres_server import PostgresServer, running_postgres

from meshgate.auth.migration import migrate
from meshgate.auth.sql.opening import opened

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests, with a database to copy."""
    with running_postgres() as server:
        asyncio.run(_execute(server, "CREATE DATABASE migrated"))
        asyncio.run(migrate(server.url("migrated")))
        yield server


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory) -> Path:
    """A file to copy."""
    file = tmp_path_factory.mktemp("auth") / "migrated.sqlite"
    asyncio.run(migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture
def sqlite_url(sqlite_file, tmp_path) -> str:
    file = shutil.copy(sqlite_file, tmp_path / "auth.sqlite")
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request) -> Iterator[str]:
    """A database of this version's schema, with nothing but the default organization."""
    if request.param == "sqlite":
        file = request.getfixturevalue("sqlite_file")
        yield f"sqlite:///{shutil.copy(file, request.getfixturevalue('tmp_path') / 'auth.sqlite')}"
        return
    server, name = request.getfixturevalue("postgres"), f"test_{next(_numbers)}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name} TEMPLATE migrated"))
    yield server.url(name)
    asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def records(database_url, clock):
    async with opened(database_url, PEPPERS, clock) as database:
        yield database


async def _execute(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
