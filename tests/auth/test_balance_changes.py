"""A top-up in one process of auth, seen in another."""

import pytest
from auth.configuration import key as configured_key
from auth.instance import running_instance
from auth.opened_records import key, organization, team
from sqlalchemy import text

from meshgate.auth.balances import Owner, TopUpOrder, limit_of
from meshgate.auth.sql.schema import SCHEMA
from meshgate.config.snapshot import Snapshot
from meshgate.database.database import Database
from meshgate.database.migration import migrate
from meshgate.limits.limit import Enforcement, Subject, SubjectKind


def order(owner, amount_nanos, top_up_id):
    return TopUpOrder(
        top_up_id=top_up_id,
        owner=owner,
        organization_id="default",
        team_id="",
        amount_nanos=amount_nanos,
    )


@pytest.fixture
async def two(database_url, clock):
    declared = configured_key("a")
    snapshot = Snapshot("one", keys={declared.key_id: declared})
    async with (
        running_instance(database_url, clock) as here,
        running_instance(database_url, clock, snapshot) as there,
    ):
        yield here, there


async def test_a_top_up_holds_for_a_key_that_was_known_already(two):
    here, there = two
    acme = await here.directory.organizations.create(organization())
    core = await here.directory.teams.create(team(organization_id=acme.id))
    issued = await here.directory.keys.issue(key(organization_id=acme.id, team_id=core.id))
    before = await there.find(issued.credential)

    with there.changes.watch() as watch:
        for owner in (Owner(SubjectKind.ORGANIZATION, acme.id), Owner(SubjectKind.TEAM, core.id)):
            await here.directory.balances.top_up(order(owner, 5, owner.name))
        await there.poll()
        changed = await watch.next(within_seconds=0)
    after = await there.find(issued.credential)

    balance = (limit_of(5, Enforcement.NORMAL),)
    assert before.subjects == ()
    assert issued.key.id in changed
    assert after.subjects == (
        Subject(SubjectKind.TEAM, core.id, balance),
        Subject(SubjectKind.ORGANIZATION, acme.id, balance),
    )
    assert after.revision != before.revision


async def test_a_top_up_holds_for_a_key_of_the_configuration(two):
    here, there = two
    owner = Owner(SubjectKind.KEY, "config/a")

    with there.changes.watch() as watch:
        await here.directory.balances.top_up(order(owner, 5, "first"))
        await there.poll()
        changed = await watch.next(within_seconds=0)
    found = await there.find("secret of a")

    assert "config/a" in changed
    assert found.subjects == (
        Subject(SubjectKind.KEY, "config/a", (limit_of(5, Enforcement.NORMAL),)),
    )


async def test_a_database_of_the_version_before_gets_its_balances_and_keeps_its_keys(
    own_database_url, clock
):
    async with running_instance(own_database_url, clock) as instance:
        issued = await instance.directory.keys.issue(key())
    database = Database(SCHEMA, own_database_url, wait_seconds=20.0)
    async with database.writing() as connection:
        for statement in (
            "DROP TABLE top_ups",
            "DROP TABLE balances",
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            await connection.execute(text(statement))
    await database.close()

    done = await migrate(SCHEMA, own_database_url)

    assert (done.revision_before, done.revision) == ("0001", SCHEMA.latest)
    async with running_instance(own_database_url, clock) as instance:
        owner = Owner(SubjectKind.KEY, issued.key.id)
        await instance.directory.balances.top_up(order(owner, 5, "first"))
        await instance.poll()
        [subject] = (await instance.find(issued.credential)).subjects
    assert subject.limits == (limit_of(5, Enforcement.NORMAL),)
