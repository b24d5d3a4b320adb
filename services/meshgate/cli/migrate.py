"""`meshgate migrate`: make the databases, or bring their schemas up to date."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TypeAlias

import click

from meshgate.cli.data_directory import DataDirectory, data_directory_option
from meshgate.cli.examples import examples
from meshgate.runtime.memory import loading

_PAUSE_SECONDS = 1.0

Records: TypeAlias = dict[str, dict[str, str | None]]
"""What was done to each database, by whose it is."""


@click.command(
    "migrate",
    short_help="Make the databases, or bring their schemas up to date.",
    epilog=examples(
        "meshgate migrate",
        "AUTH_DATABASE_URL=postgresql://meshgate@db/auth LEDGER_DATABASE_URL=sqlite:///ledger.sqlite "
        "meshgate migrate --json",
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

    The records of `auth` are at AUTH_DATABASE_URL, the ledger of `quota` at LEDGER_DATABASE_URL;
    both may be the same database, and are in the data directory if not given. May be run again, and
    by several at once: each change is made once, and completely or not at all. Services never do
    this by themselves.
    """
    urls = database_urls(data_directory)
    records = patiently(lambda: migrated(urls), wait_seconds)
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    for owner, record in records.items():
        click.echo(_sentence(owner, record))


def database_urls(data_directory: DataDirectory) -> dict[str, str]:
    """Where each database is, by whose it is: as the environment says, else in the data directory."""
    return {
        "auth": os.environ.get("AUTH_DATABASE_URL") or data_directory.auth_database_url,
        "ledger": os.environ.get("LEDGER_DATABASE_URL") or data_directory.ledger_database_url,
    }


def migrated(urls: Mapping[str, str]) -> Records:
    """Migrate the databases; tell of each which one it is, and the revision before and after.

    Args:
        urls: Where they are, by whose they are.

    Raises:
        click.ClickException: One cannot be used.
    """
    with loading():
        # Here, so that the other commands need none of it.
        from meshgate.auth.sql.schema import SCHEMA as AUTH  # noqa: PLC0415
        from meshgate.database.database import DatabaseUnusableError  # noqa: PLC0415
        from meshgate.database.migration import migrate  # noqa: PLC0415
        from meshgate.quota.ledger.schema import SCHEMA as LEDGER  # noqa: PLC0415

    async def all_of_them() -> Records:
        return {
            schema.owner: asdict(await migrate(schema, urls[schema.owner]))
            for schema in (AUTH, LEDGER)
        }

    try:
        return asyncio.run(all_of_them())
    except DatabaseUnusableError as error:
        raise click.ClickException(str(error)) from None


def patiently(
    migration: Callable[[], Records],
    seconds: float,
    *,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Records:
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


def _sentence(owner: str, record: Mapping[str, str | None]) -> str:
    database, before, after = record["database"], record["revision_before"], record["revision"]
    if before is None:
        return f"{owner}: made the schema {after} in {database}."
    if before == after:
        return f"{owner}: {database} has the schema {after} already."
    return f"{owner}: brought {database} from the schema {before} to {after}."
