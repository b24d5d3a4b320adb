"""Databases for the tests of the ledger: every test that takes `ledger_url` runs on both kinds."""

import itertools

import pytest
from postgres_server import running_postgres
from quota.ledger.databases import migrated_sqlite, new_postgres

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def ledger_postgres():
    """One server for all tests of the ledger."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request, tmp_path):
    """A new database with the tables of the ledger, and nothing in them."""
    if request.param == "sqlite":
        return migrated_sqlite(tmp_path / "ledger.sqlite")
    server = request.getfixturevalue("ledger_postgres")
    return new_postgres(server, f"ledger_{next(_NUMBERS)}")
