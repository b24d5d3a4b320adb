"""Databases for the tests of auth: every test that takes `database_url` runs on SQLite and PostgreSQL."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from auth.opened_records import PEPPERS, Clock
from postgres_server import PostgresServer, execute, running_postgres

from meshgate.auth.sql.opening import opened
from meshgate.auth.sql.schema import SCHEMA
from meshgate.database.migration import migrate

_EMPTY = (
    "DELETE FROM keys",
    "DELETE FROM memberships",
    "DELETE FROM users",
    "DELETE FROM teams",
    "DELETE FROM organizations WHERE organization_id <> 'default'",
    "DELETE FROM top_ups",
    "DELETE FROM balances",
    "DELETE FROM changes",
    "UPDATE organizations SET name = 'default', limits = '[]', model_groups = '{}', tags = '{}'",
    "UPDATE change_head SET latest = 0",
)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests, with a database to copy."""
    with running_postgres() as server:
        asyncio.run(execute(server.url(), "CREATE DATABASE migrated"))
        asyncio.run(migrate(SCHEMA, server.url("migrated")))
        asyncio.run(execute(server.url(), "CREATE DATABASE shared TEMPLATE migrated"))
        yield server


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory) -> Path:
    """A file to copy."""
    file = tmp_path_factory.mktemp("auth") / "migrated.sqlite"
    asyncio.run(migrate(SCHEMA, f"sqlite:///{file}"))
    return file


@pytest.fixture
def sqlite_url(sqlite_file, tmp_path) -> str:
    file = shutil.copy(sqlite_file, tmp_path / "auth.sqlite")
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request) -> str:
    """A database of this version's schema, with nothing but the default organization."""
    if request.param == "sqlite":
        return _sqlite_copy(request)
    # A new database for each test took ten times as long as the tests.
    server = request.getfixturevalue("postgres")
    asyncio.run(execute(server.url("shared"), ";".join(_EMPTY)))
    return server.url("shared")


@pytest.fixture(params=["sqlite", "postgres"])
def own_database_url(request) -> Iterator[str]:
    """The same, for tests that do with it as they like."""
    if request.param == "sqlite":
        yield _sqlite_copy(request)
        return
    server = request.getfixturevalue("postgres")
    asyncio.run(execute(server.url(), "CREATE DATABASE own TEMPLATE migrated"))
    yield server.url("own")
    asyncio.run(execute(server.url(), "DROP DATABASE own WITH (FORCE)"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def records(database_url, clock):
    async with opened(database_url, PEPPERS, clock, wait_seconds=20.0) as database:
        yield database


def _sqlite_copy(request) -> str:
    file = request.getfixturevalue("sqlite_file")
    copy = shutil.copy(file, request.getfixturevalue("tmp_path") / "auth.sqlite")
    return f"sqlite:///{copy}"
