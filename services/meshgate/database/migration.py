"""Brings a database to the schema of this version. Only `meshgate migrate` does that."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from meshgate.database.database import Database, DatabaseUnusableError, revision_of
from meshgate.database.schema import Schema
from meshgate.runtime.errors import ServiceUnavailableError

_WAIT_SECONDS = 60.0
_ENVIRONMENT = Path(__file__).parent / "environment"
# Any number that nobody else uses: whoever migrates holds this lock of PostgreSQL.
_LOCK = 0x6D657368


@dataclass(frozen=True, slots=True)
class Migration:
    """What was done.

    Attributes:
        database: Which database, without any password.
        revision_before: The revision of the schema before; None if there was no schema.
        revision: The revision now.
    """

    database: str
    revision_before: str | None
    revision: str


async def migrate(
    schema: Schema, database_url: str, *, wait_seconds: float = _WAIT_SECONDS
) -> Migration:
    """Make the schema, or bring it up to date; all or nothing. Those who come second wait.

    Raises:
        DatabaseUnusableError: The database cannot be reached, or is of a newer version.
    """
    database = Database(schema, database_url, wait_seconds=wait_seconds)
    try:
        if database.file is not None:
            _make_private(database.file)
        async with database.writing() as connection:
            before = await connection.run_sync(_upgrade, schema)
    except ServiceUnavailableError as error:
        raise DatabaseUnusableError(
            f"the database {database} cannot be used ({error.values['cause']}): check that it "
            f"runs, and what {schema.url_variable} says"
        ) from None
    except OSError as error:
        raise DatabaseUnusableError(
            f"the database {database} cannot be made ({error.strerror}): choose another place"
        ) from None
    finally:
        await database.close()
    return Migration(str(database), before, schema.latest)


def _upgrade(connection: Connection, schema: Schema) -> str | None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    before = revision_of(connection, schema)
    if before is not None and before not in schema.revisions:
        raise DatabaseUnusableError(
            "the schema of the database is newer than this version of Meshgate: run a newer one"
        )
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", _escaped(_ENVIRONMENT))
    config.set_main_option("version_locations", _escaped(schema.migrations))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = schema.version_table
    command.upgrade(config, "head")
    return before


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")


def _make_private(file: Path) -> None:
    """Make the file, so that its owner alone may read it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
