"""`meshgate migrate`."""

import asyncio
import json

import click
import pytest
from click.testing import CliRunner

from meshgate.auth.sql.schema import SCHEMA as AUTH
from meshgate.cli.main import main
from meshgate.cli.migrate import patiently
from meshgate.database.database import Database
from meshgate.quota.ledger.schema import SCHEMA as LEDGER


@pytest.fixture
def migrate(tmp_path):
    def run(*arguments, **variables):
        environment = {"AUTH_DATABASE_URL": None, "LEDGER_DATABASE_URL": None, **variables}
        where = ["--data-dir", str(tmp_path / "data")]
        return CliRunner().invoke(main, ["migrate", *where, *arguments], env=environment)

    return run


def test_the_database_of_the_data_directory_is_made_and_then_left_alone(migrate, tmp_path):
    auth, ledger = tmp_path / "data" / "auth.sqlite", tmp_path / "data" / "ledger.sqlite"

    first, second = migrate(), migrate()

    assert first.output == (
        f"auth: made the schema {AUTH.latest} in {auth}.\n"
        f"ledger: made the schema {LEDGER.latest} in {ledger}.\n"
    )
    assert second.output == (
        f"auth: {auth} has the schema {AUTH.latest} already.\n"
        f"ledger: {ledger} has the schema {LEDGER.latest} already.\n"
    )
    asyncio.run(_check(AUTH, f"sqlite:///{auth}"))
    asyncio.run(_check(LEDGER, f"sqlite:///{ledger}"))


def test_both_may_be_in_one_database(migrate, tmp_path):
    url = f"sqlite:///{tmp_path / 'both.sqlite'}"

    result = migrate(AUTH_DATABASE_URL=url, LEDGER_DATABASE_URL=url)

    assert result.exit_code == 0
    asyncio.run(_check(AUTH, url))
    asyncio.run(_check(LEDGER, url))


def test_the_environment_may_name_another_database(migrate, tmp_path):
    file = tmp_path / "other.sqlite"

    result = migrate("--json", AUTH_DATABASE_URL=f"sqlite:///{file}")

    assert json.loads(result.output)["auth"] == {
        "database": str(file),
        "revision_before": None,
        "revision": AUTH.latest,
    }


@pytest.mark.parametrize("variable", ["AUTH_DATABASE_URL", "LEDGER_DATABASE_URL"])
def test_a_database_that_cannot_be_used_is_one_sentence_without_its_password(migrate, variable):
    result = migrate(**{variable: "postgresql://u:hunter2@127.0.0.1:1/x"})

    assert result.exit_code == 1
    assert result.output.startswith("Error: the database postgresql://u:***@127.0.0.1:1/x cannot")
    assert variable in result.output
    assert "hunter2" not in result.output


async def _check(schema, url):
    database = Database(schema, url, wait_seconds=20.0)
    await database.check()
    await database.close()


class Clock:
    """Time that passes only while somebody pauses."""

    def __init__(self):
        self.seconds = 0.0

    def now(self):
        return self.seconds

    def pause(self, seconds):
        self.seconds += seconds


class StartingDatabase:
    """A database that can be used once so many tries have failed."""

    def __init__(self, failures):
        self.failures = failures

    def migrated(self):
        if self.failures:
            self.failures -= 1
            raise click.ClickException(f"it starts, {self.failures} to go")
        return {"revision": "0001"}


def test_a_database_that_starts_is_waited_for():
    clock = Clock()

    record = patiently(StartingDatabase(3).migrated, 60.0, now=clock.now, pause=clock.pause)

    assert record == {"revision": "0001"}
    assert clock.seconds == 3.0


def test_the_wait_ends_with_what_the_last_try_said():
    clock = Clock()

    with pytest.raises(click.ClickException, match="94 to go"):
        patiently(StartingDatabase(100).migrated, 5.0, now=clock.now, pause=clock.pause)

    assert clock.seconds == 5.0


def test_nobody_waits_without_being_asked():
    clock = Clock()

    with pytest.raises(click.ClickException, match="0 to go"):
        patiently(StartingDatabase(1).migrated, 0.0, now=clock.now, pause=clock.pause)

    assert clock.seconds == 0.0
