"""`meshgate migrate`: make the databases, or bring their schemas up to date."""

import asyncio
import json
import os
import time
from collections.abc import Callable

import click

from meshgate.cli.data_directory import DataDirectory, data_directory_option
from meshgate.cli.examples import examples

_PAUSE_SECONDS = 1.0


@click.command(
    "migrate",
    short_help="Make the databases, or bring their schemas up to date.",
    epilog=examples(
        "meshgate migrate",
        "AUTH_DATABASE_URL=postgresql://meshgate@db/auth meshgate migrate --json",
        "meshgate migrate --wait 60",
    ),
)
@data_directory_option
@click.option(
    "--wait",
    "wait_seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=0.0,
    help="How long to wait for a database that cannot be used yet, as one that starts.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def migrate_command(*, data_directory: DataDirectory, wait_seconds: float, as_json: bool) -> None:
    """Make the databases, or bring their schemas up to date.

    The records of `auth` are at AUTH_DATABASE_URL, or else in the data directory. May be run again,
    and by several at once: each change is made once, and completely or not at all. Services never
    do this by themselves.
    """
    url = os.environ.get("AUTH_DATABASE_URL") or data_directory.auth_database_url
    record = patiently(lambda: migrated(url), wait_seconds)
    click.echo(json.dumps({"auth": record}, indent=2) if as_json else _sentence(record))


def migrated(auth_database_url: str) -> dict[str, str | None]:
    """Migrate the database of `auth`; tell which one, and the revision before and after.

    Raises:
        click.ClickException: The database cannot be used.
    """
    # Here, so that the other commands need none of it.
    from meshgate.auth.migration import migrate  # noqa: PLC0415
    from meshgate.auth.sql.database import DatabaseUnusableError  # noqa: PLC0415

    try:
        migration = asyncio.run(migrate(auth_database_url))
    except DatabaseUnusableError as error:
        raise click.ClickException(str(error)) from None
    return {
        "database": migration.database,
        "revision_before": migration.before,
        "revision": migration.after,
    }


def patiently(
    migration: Callable[[], dict[str, str | None]],
    seconds: float,
    *,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, str | None]:
    """Try each second, until it is done or the time is up.

    Raises:
        click.ClickException: What the last try says.
    """
    end = now() + seconds
    while True:
        try:
            return migration()
        except click.ClickException:
            if now() >= end:
                raise
        pause(_PAUSE_SECONDS)


def _sentence(record: dict[str, str | None]) -> str:
    database, before, after = record["database"], record["revision_before"], record["revision"]
    if before is None:
        return f"auth: made the schema {after} in {database}."
    if before == after:
        return f"auth: {database} has the schema {after} already."
    return f"auth: brought {database} from the schema {before} to {after}."
