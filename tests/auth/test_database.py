"""A database that is locked, gone, frozen, or of another version."""

import asyncio
import sqlite3
import time
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from auth.instance import running_instance
from auth.opened_records import PEPPERS, TEN_A_MINUTE, Clock, key, team
from postgres_server import running_postgres
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from meshgate.auth.principals import Principal
from meshgate.auth.sql.opening import opened
from meshgate.auth.sql.schema import METADATA, SCHEMA
from meshgate.database.database import Database, DatabaseUnusableError
from meshgate.database.migration import Migration, migrate
from meshgate.runtime.errors import ServiceUnavailableError

BOUND_SECONDS = 30
# Of the loop: more than it takes until a driver that does not wait has refused.
TURNS = 200


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'here' / 'auth.sqlite'}"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "here" / "auth.sqlite"


async def execute(url, statement):
    database = Database(SCHEMA, url)
    try:
        async with database.writing() as connection:
            await connection.execute(text(statement))
    finally:
        await database.close()


async def check(url):
    database = Database(SCHEMA, url)
    try:
        await database.check()
    finally:
        await database.close()


async def test_a_database_is_made_once_and_may_be_migrated_again(sqlite_url, file):
    first = await migrate(SCHEMA, sqlite_url)
    second = await migrate(SCHEMA, sqlite_url)

    assert first == Migration(str(file), None, SCHEMA.latest)
    assert second == Migration(str(file), SCHEMA.latest, SCHEMA.latest)
    assert file.stat().st_mode & 0o777 == 0o600
    await check(sqlite_url)


async def test_several_who_migrate_at_once_do_it_once(own_database_url):
    await execute(own_database_url, "DROP TABLE alembic_version")
    for table in reversed(METADATA.sorted_tables):
        await execute(own_database_url, f"DROP TABLE {table.name}")

    done = await asyncio.gather(*(migrate(SCHEMA, own_database_url) for _ in range(4)))

    assert sorted(str(one.revision_before) for one in done) == ["0002", "0002", "0002", "None"]
    await check(own_database_url)


async def test_the_tables_are_those_that_the_migrations_make(own_database_url):
    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), METADATA)

    database = Database(SCHEMA, own_database_url, wait_seconds=20.0)
    async with database.reading() as connection:
        found = await connection.run_sync(differences)
    await database.close()

    assert found == []


async def test_a_service_refuses_a_database_that_was_never_migrated(sqlite_url, file):
    with pytest.raises(DatabaseUnusableError, match="run `meshgate migrate` first"):
        await check(sqlite_url)
    assert not file.exists()

    file.parent.mkdir()
    file.touch()
    with pytest.raises(DatabaseUnusableError, match=r"older .* run `meshgate migrate` first"):
        await check(sqlite_url)


async def test_a_service_refuses_a_newer_database_and_so_does_migrate(own_database_url):
    await execute(own_database_url, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(DatabaseUnusableError, match="newer than this version"):
        await check(own_database_url)
    with pytest.raises(DatabaseUnusableError, match="newer than this version"):
        await migrate(SCHEMA, own_database_url)


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://u:hunter2@h/d", "sqlite://", "sqlite:///:memory:", "hunter2://x"],
)
def test_a_url_that_is_none_is_refused_without_its_password(url):
    with pytest.raises(DatabaseUnusableError, match="AUTH_DATABASE_URL") as caught:
        Database(SCHEMA, url)

    assert "hunter2" not in str(caught.value)


async def test_a_database_that_is_not_there_is_told_without_its_password():
    with pytest.raises(DatabaseUnusableError, match=r"u:\*\*\*@127.0.0.1:1/x cannot be used") as e:
        await check("postgresql://u:hunter2@127.0.0.1:1/x?sslmode=disable&password=hunter2")

    assert "hunter2" not in str(e.value)


async def test_a_file_that_is_no_database_is_told(sqlite_url, file):
    file.parent.mkdir()
    file.write_text("no database at all " * 100)

    with pytest.raises(DatabaseUnusableError, match="cannot be used"):
        await check(sqlite_url)
    with pytest.raises(DatabaseUnusableError, match="cannot be used"):
        await migrate(SCHEMA, sqlite_url)


async def test_a_locked_file_is_read_and_writes_to_it_are_refused_in_time(sqlite_url, file):
    await migrate(SCHEMA, sqlite_url)
    async with opened(sqlite_url, PEPPERS, Clock()) as records:
        issued = await records.directory.keys.issue(key())
        locker = sqlite3.connect(file, isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")

        with pytest.raises(ServiceUnavailableError, match="locked"):
            await records.directory.keys.revoke(issued.key.id)
        found = await records.directory.keys.get(issued.key.id)
        locker.close()
        revoked = await records.directory.keys.revoke(issued.key.id)

    assert found.revoke_time is None
    assert revoked.revoke_time is not None


async def test_a_write_waits_for_a_lock_that_goes_away(sqlite_url, file):
    await migrate(SCHEMA, sqlite_url)
    begun = asyncio.Event()

    def note(_connection, _cursor, statement, *_more):
        if statement == "BEGIN IMMEDIATE":
            begun.set()

    event.listen(Engine, "before_cursor_execute", note)
    try:
        async with opened(sqlite_url, PEPPERS, Clock(), wait_seconds=BOUND_SECONDS) as records:
            locker = sqlite3.connect(file, isolation_level=None)
            locker.execute("BEGIN IMMEDIATE")
            writing = asyncio.ensure_future(records.directory.teams.create(team()))
            await begun.wait()
            for _ in range(TURNS):
                time.sleep(0)  # to the driver's thread
                await asyncio.sleep(0)
            assert not writing.done()
            locker.close()

            assert (await writing).name == "core"
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_a_write_that_fails_half_way_changes_nothing(records):
    core = await records.directory.teams.create(team())

    def fail(_record):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await records.directory.teams.update(core.id, fail)
    changed = await records.directory.teams.update(core.id, lambda one: replace(one, name="b"))

    assert changed.name == "b"


@pytest.fixture
async def own_postgres():
    """A server that the test may kill."""
    with running_postgres() as server:
        yield server


async def test_who_is_known_stays_known_for_as_long_as_changes_were_seen_and_nobody_after(
    own_postgres,
):
    await migrate(SCHEMA, own_postgres.url())
    async with running_instance(own_postgres.url(), Clock()) as instance:
        known, unheard = [
            await instance.directory.keys.issue(key(name, limits=(TEN_A_MINUTE,)))
            for name in ("known", "unheard")
        ]
        before = await instance.find(known.credential)

        own_postgres.kill()
        with pytest.raises(ServiceUnavailableError):
            await instance.poll()
        meanwhile = await instance.find(known.credential)
        not_known = await instance.find(unheard.credential)
        instance.time += 1
        later = await instance.find(known.credential)
        own_postgres.start()
        await instance.poll()
        again = await instance.find(unheard.credential)

    assert meanwhile == before
    assert [type(one) for one in (not_known, later)] == [ServiceUnavailableError] * 2
    assert isinstance(again, Principal)


async def test_a_server_that_does_not_answer_is_given_up_in_time(own_postgres):
    await migrate(SCHEMA, own_postgres.url())
    async with running_instance(own_postgres.url(), Clock()) as instance:
        issued = await instance.directory.keys.issue(key())

        with own_postgres.frozen():
            async with asyncio.timeout(20):
                found = await instance.find(issued.credential)
                with pytest.raises(ServiceUnavailableError):
                    await instance.directory.keys.revoke(issued.key.id)
        after = await instance.find(issued.credential)

    assert isinstance(found, ServiceUnavailableError)
    assert isinstance(after, Principal)
