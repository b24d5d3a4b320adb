from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from meshgate.database.database import Database
from meshgate.quota.ledger.schema import METADATA, SCHEMA


async def test_the_tables_are_those_that_the_migrations_make(ledger_url):
    def differences(connection):
        options = {"version_table": SCHEMA.version_table}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    database = Database(SCHEMA, ledger_url, wait_seconds=20.0)
    async with database.reading() as connection:
        found = await connection.run_sync(differences)
    await database.close()

    assert found == []
