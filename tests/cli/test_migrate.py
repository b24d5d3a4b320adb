"""`meshgate migrate`."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from meshgate.auth.sql.database import Database
from meshgate.cli.main import main


@pytest.fixture
def migrate(tmp_path):
    def run(*arguments, **variables):
        environment = {"AUTH_DATABASE_URL": None, **variables}
        where = ["--data-dir", str(tmp_path / "data")]
        return CliRunner().invoke(main, ["migrate", *where, *arguments], env=environment)

    return run


def test_the_database_of_the_data_directory_is_made_and_then_left_alone(migrate, tmp_path):
    file = tmp_path / "data" / "auth.sqlite"

    first, second = migrate(), migrate()

    assert first.output == f"auth: made the schema 0001 in {file}.\n"
    assert second.output == f"auth: {file} has the schema 0001 already.\n"
    asyncio.run(_check(f"sqlite:///{file}"))


def test_the_environment_may_name_another_database(migrate, tmp_path):
    file = tmp_path / "other.sqlite"

    result = migrate("--json", AUTH_DATABASE_URL=f"sqlite:///{file}")

    assert json.loads(result.output) == {
        "auth": {"database": str(file), "revision_before": None, "revision": "0001"}
    }


def test_a_database_that_cannot_be_used_is_one_sentence_without_its_password(migrate):
    result = migrate(AUTH_DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x")

    assert result.exit_code == 1
    assert result.output.startswith("Error: the database postgresql://u:***@127.0.0.1:1/x cannot")
    assert "hunter2" not in result.output


async def _check(url):
    database = Database(url)
    await database.check()
    await database.close()
