"""Databases of the ledger for tests."""

import asyncio

from postgres_server import execute

from meshgate.database.migration import migrate
from meshgate.quota.ledger.schema import SCHEMA


def migrated_sqlite(file):
    """The URL of a new file with the ledger's tables."""
    url = f"sqlite:///{file}"
    asyncio.run(migrate(SCHEMA, url))
    return url


def new_postgres(server, name):
    """The URL of a new database with the ledger's tables on a running server."""
    asyncio.run(execute(server.url(), f"CREATE DATABASE {name}"))
    asyncio.run(migrate(SCHEMA, server.url(name)))
    return server.url(name)
