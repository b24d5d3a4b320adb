"""Databases of the ledger for tests."""

import asyncio
import functools
import tempfile
from pathlib import Path

import asyncpg
from postgres_server import execute

from meshgate.database.migration import migrate
from meshgate.quota.ledger.schema import SCHEMA

_TEMPLATE = "ledger_template"


def migrated_sqlite(file):
    """The URL of a new file with the ledger's tables."""
    Path(file).write_bytes(_blank())
    return f"sqlite:///{file}"


@functools.cache
def _blank():
    """The tables are made once, and copied from then on."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "ledger.sqlite"
        asyncio.run(migrate(SCHEMA, f"sqlite:///{file}"))
        assert [found.name for found in file.parent.iterdir()] == [file.name]
        return file.read_bytes()


def new_postgres(server, name):
    """The URL of a new database with the ledger's tables on a running server."""
    asyncio.run(_made(server))
    asyncio.run(execute(server.url(), f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}"))
    return server.url(name)


async def _made(server):
    """The tables are made once a server, and copied from then on."""
    connection = await asyncpg.connect(server.url())
    try:
        query = "SELECT 1 FROM pg_database WHERE datname = $1"
        found = await connection.fetchval(query, _TEMPLATE)
    finally:
        await connection.close()
    if not found:
        await execute(server.url(), f"CREATE DATABASE {_TEMPLATE}")
        await migrate(SCHEMA, server.url(_TEMPLATE))
