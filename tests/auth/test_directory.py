"""Organizations, teams and users, on every database."""

from dataclasses import replace

import pytest
from auth.opened_records import NOW, ONE_AT_A_TIME, TEN_A_MINUTE, key, organization, team, user

from meshgate.limits.limit import Enforcement, Limit, LimitKind, WindowMode, WindowUnit
from meshgate.runtime.errors import (
    AlreadyExistsError,
    EtagMismatchError,
    FailedPreconditionError,
    InvalidRequestError,
    NotFoundError,
)

ODD_LIMIT = Limit.of(
    LimitKind.COST,
    9_000_000 * 10**9,
    WindowUnit.MONTH,
    WindowMode.CALENDAR,
    "Europe/Berlin",
    Enforcement.STRICT,
)


@pytest.fixture(params=["organizations", "teams", "users"])
def kind(request):
    return request.param


@pytest.fixture
def collection(records, kind):
    return getattr(records.directory, kind)


@pytest.fixture
def make(kind):
    return {"organizations": organization, "teams": team, "users": user}[kind]


async def test_the_default_organization_is_there_from_the_start(records):
    found = await records.directory.organizations.get("default")

    assert (found.name, found.limits) == ("default", ())


async def test_a_record_comes_back_as_it_was_made(collection, make):
    made = await collection.create(make(limits=(ODD_LIMIT, TEN_A_MINUTE), tags={"a": "ü"}))

    found = await collection.get(made.id)

    assert found == made
    assert (found.limits, found.tags) == ((ODD_LIMIT, TEN_A_MINUTE), {"a": "ü"})
    assert (found.create_time, found.update_time) == (NOW, NOW)


async def test_a_user_comes_back_with_all_that_only_users_have(records):
    teams = [await records.directory.teams.create(team(name)) for name in ("a", "b")]
    ids = tuple(sorted(one.id for one in teams))

    made = await records.directory.users.create(
        user(email="Ada@Example.com", roles=("admin", "viewer"), team_ids=ids)
    )

    assert await records.directory.users.get(made.id) == made
    assert (made.email, made.roles) == ("ada@example.com", ("admin", "viewer"))
    assert made.team_ids == ids


async def test_a_name_is_taken_once_in_an_organization(collection, make):
    first = await collection.create(make("same"))

    with pytest.raises(AlreadyExistsError) as caught:
        await collection.create(make("same"))

    assert caught.value.field == "name"
    assert caught.value.values["id"] == first.id


async def test_a_name_may_stand_in_two_organizations(records):
    acme = await records.directory.organizations.create(organization())

    await records.directory.teams.create(team("same"))
    await records.directory.teams.create(team("same", organization_id=acme.id))


async def test_an_email_is_taken_once_in_an_organization_however_it_is_written(records):
    await records.directory.users.create(user("a", email="ada@example.com"))

    with pytest.raises(AlreadyExistsError) as caught:
        await records.directory.users.create(user("b", email="ADA@example.com"))

    assert caught.value.field == "email"


async def test_users_without_an_email_are_no_hindrance_to_each_other(records):
    await records.directory.users.create(user("a"))
    await records.directory.users.create(user("b"))


@pytest.mark.parametrize("record_id", ["", "nobody", "team_'; --", "team_\0", "x" * 10_000])
async def test_what_is_not_there_is_not_found(collection, record_id):
    with pytest.raises(NotFoundError):
        await collection.get(record_id)


@pytest.mark.parametrize("organization_id", ["", "org_nobody", "\0"])
async def test_nothing_is_made_in_an_organization_that_is_not_there(records, organization_id):
    with pytest.raises(NotFoundError) as caught:
        await records.directory.teams.create(team(organization_id=organization_id))

    assert caught.value.field == "organization_id"


async def test_nobody_is_a_member_of_a_team_of_another_organization(records):
    acme = await records.directory.organizations.create(organization())
    other = await records.directory.teams.create(team(organization_id=acme.id))

    with pytest.raises(NotFoundError) as caught:
        await records.directory.users.create(user(team_ids=(other.id,)))

    assert caught.value.field == "team_id"


async def test_an_update_changes_what_it_says_and_the_etag(collection, make, clock):
    made = await collection.create(make(tags={"a": "b"}))
    clock.advance(seconds=1)

    changed = await collection.update(made.id, lambda record: replace(record, name="other"))

    assert changed == await collection.get(made.id)
    assert changed == replace(made, name="other", etag=changed.etag, update_time=clock())
    assert changed.etag != made.etag


async def test_an_update_that_changes_nothing_keeps_the_etag(collection, make):
    made = await collection.create(make())

    assert await collection.update(made.id, lambda record: record) == made


async def test_an_update_of_what_was_changed_meanwhile_is_refused(collection, make):
    made = await collection.create(make())
    await collection.update(made.id, lambda record: replace(record, name="first"), made.etag)

    with pytest.raises(EtagMismatchError):
        await collection.update(made.id, lambda record: replace(record, name="second"), made.etag)

    assert (await collection.get(made.id)).name == "first"


async def test_an_update_to_a_name_that_is_taken_is_refused(collection, make):
    await collection.create(make("taken"))
    made = await collection.create(make("mine"))

    with pytest.raises(AlreadyExistsError):
        await collection.update(made.id, lambda record: replace(record, name="taken"))


async def test_an_update_to_what_no_record_may_be_is_refused_and_changes_nothing(collection, make):
    made = await collection.create(make())

    with pytest.raises(InvalidRequestError) as caught:
        await collection.update(made.id, lambda record: replace(record, name=" "))

    assert caught.value.field == "name"
    assert await collection.get(made.id) == made


async def test_a_team_never_moves_to_another_organization(records):
    acme = await records.directory.organizations.create(organization())
    made = await records.directory.teams.create(team())

    with pytest.raises(InvalidRequestError) as caught:
        await records.directory.teams.update(
            made.id, lambda record: replace(record, organization_id=acme.id)
        )

    assert caught.value.field == "organization_id"


async def test_the_teams_of_a_user_are_replaced(records):
    first, second = [await records.directory.teams.create(team(name)) for name in ("a", "b")]
    made = await records.directory.users.create(user(team_ids=(first.id,)))

    changed = await records.directory.users.update(
        made.id, lambda record: replace(record, team_ids=(second.id,))
    )

    assert changed.team_ids == (second.id,)


async def test_a_user_cannot_leave_a_team_whose_key_they_hold_until_it_is_revoked(records):
    directory = records.directory
    core = await directory.teams.create(team())
    ada = await directory.users.create(user(team_ids=(core.id,)))
    issued = await directory.keys.issue(key(team_id=core.id, user_id=ada.id))

    with pytest.raises(FailedPreconditionError) as caught:
        await directory.users.update(ada.id, lambda record: replace(record, team_ids=()))
    await directory.keys.revoke(issued.key.id)
    left = await directory.users.update(ada.id, lambda record: replace(record, team_ids=()))

    assert caught.value.values["key_id"] == issued.key.id
    assert left.team_ids == ()


async def test_what_is_deleted_is_gone_and_its_name_is_free(collection, make):
    made = await collection.create(make("same"))

    await collection.delete(made.id, made.etag)

    with pytest.raises(NotFoundError):
        await collection.get(made.id)
    await collection.create(make("same"))


async def test_deleting_what_was_changed_meanwhile_is_refused(collection, make):
    made = await collection.create(make())
    await collection.update(made.id, lambda record: replace(record, name="other"))

    with pytest.raises(EtagMismatchError):
        await collection.delete(made.id, made.etag)


async def test_deleting_twice_finds_nothing(collection, make):
    made = await collection.create(make())
    await collection.delete(made.id)

    with pytest.raises(NotFoundError):
        await collection.delete(made.id)


async def test_the_default_organization_cannot_be_deleted(records):
    with pytest.raises(FailedPreconditionError):
        await records.directory.organizations.delete("default")


@pytest.mark.parametrize("with_what", ["teams", "users", "keys"])
async def test_an_organization_with_anything_in_it_cannot_be_deleted(records, with_what):
    directory = records.directory
    acme = await directory.organizations.create(organization())
    if with_what == "keys":
        await directory.keys.issue(key(organization_id=acme.id))
    else:
        make = {"teams": team, "users": user}[with_what]
        await getattr(directory, with_what).create(make(organization_id=acme.id))

    with pytest.raises(FailedPreconditionError, match=f"has {with_what}, 1 of them"):
        await directory.organizations.delete(acme.id)


async def test_a_team_with_members_cannot_be_deleted(records):
    core = await records.directory.teams.create(team())
    await records.directory.users.create(user(team_ids=(core.id,)))

    with pytest.raises(FailedPreconditionError, match="has members, 1 of them"):
        await records.directory.teams.delete(core.id)


async def test_a_team_with_a_key_cannot_be_deleted_even_if_it_is_revoked(records):
    core = await records.directory.teams.create(team(limits=(ONE_AT_A_TIME,)))
    issued = await records.directory.keys.issue(key(team_id=core.id))
    await records.directory.keys.revoke(issued.key.id)

    with pytest.raises(FailedPreconditionError, match="has keys, 1 of them"):
        await records.directory.teams.delete(core.id)


async def test_a_user_with_a_key_cannot_be_deleted(records):
    ada = await records.directory.users.create(user())
    await records.directory.keys.issue(key(user_id=ada.id))

    with pytest.raises(FailedPreconditionError, match="has keys, 1 of them"):
        await records.directory.users.delete(ada.id)
