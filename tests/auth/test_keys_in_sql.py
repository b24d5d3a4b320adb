"""Keys, on every database."""

from dataclasses import replace
from datetime import timedelta

import pytest
from auth.opened_records import NOW, ONE_AT_A_TIME, PEPPERS, key, organization, team, user

from meshgate.runtime.errors import (
    AlreadyExistsError,
    EtagMismatchError,
    FailedPreconditionError,
    InvalidRequestError,
    NotFoundError,
)

FULL = {
    "allowed_models": ("gpt-*", "m"),
    "allowed_networks": ("10.0.0.0/8", "fd00::/8"),
    "roles": ("viewer",),
    "limits": (ONE_AT_A_TIME,),
    "tags": {"env": "test"},
    "expire_time": NOW + timedelta(days=30, microseconds=1),
    "created_by": "admin",
}


@pytest.fixture
def keys(records):
    return records.directory.keys


async def stored(records, key_id):
    return (await records.lookup.stored_keys(frozenset({key_id})))[key_id]


async def test_an_issued_key_has_a_secret_that_its_record_proves_and_does_not_hold(records, keys):
    issued = await keys.issue(key(**FULL))

    credential = PEPPERS.read(issued.credential)
    kept = await stored(records, issued.key.id)
    assert credential.key_id == issued.key.id
    assert PEPPERS.prove(credential, kept.secret_hash)
    assert issued.key.last_characters == credential.secret[-4:]
    assert credential.secret not in repr((issued, kept, credential))


async def test_a_key_comes_back_as_it_was_issued(keys):
    issued = await keys.issue(key(**FULL))

    assert await keys.get(issued.key.id) == issued.key
    assert {name: getattr(issued.key, name) for name in FULL} == FULL


async def test_the_name_of_a_key_is_free_again_once_it_is_revoked(keys):
    first = await keys.issue(key("same"))
    with pytest.raises(AlreadyExistsError):
        await keys.issue(key("same"))

    await keys.revoke(first.key.id)

    await keys.issue(key("same"))


async def test_a_key_that_has_expired_already_is_not_issued(keys):
    with pytest.raises(InvalidRequestError) as caught:
        await keys.issue(key(expire_time=NOW))

    assert caught.value.field == "expire_time"


@pytest.mark.parametrize("field", ["organization_id", "team_id", "user_id"])
async def test_a_key_belongs_to_nothing_that_is_not_there(keys, field):
    with pytest.raises(NotFoundError) as caught:
        await keys.issue(key(**{field: "team_nobody"}))

    assert caught.value.field == field


@pytest.mark.parametrize(("collection", "make"), [("teams", team), ("users", user)])
async def test_a_key_belongs_to_nothing_of_another_organization(records, keys, collection, make):
    acme = await records.directory.organizations.create(organization())
    other = await getattr(records.directory, collection).create(make(organization_id=acme.id))

    with pytest.raises(NotFoundError):
        await keys.issue(key(**{f"{collection[:-1]}_id": other.id}))


async def test_the_user_of_a_teams_key_is_a_member_of_the_team(records, keys):
    core = await records.directory.teams.create(team())
    outsider = await records.directory.users.create(user("outsider"))
    member = await records.directory.users.create(user("member", team_ids=(core.id,)))

    with pytest.raises(InvalidRequestError) as caught:
        await keys.issue(key(team_id=core.id, user_id=outsider.id))
    issued = await keys.issue(key(team_id=core.id, user_id=member.id))

    assert caught.value.field == "team_id"
    assert (issued.key.team_id, issued.key.user_id) == (core.id, member.id)


async def test_a_key_may_name_groups_of_its_organization_and_no_others(records, keys):
    groups = {"cheap": ("gpt-4o-mini", "qwen*")}
    acme = await records.directory.organizations.create(organization(model_groups=groups))

    await keys.issue(key(organization_id=acme.id, allowed_models=("group:cheap",)))
    with pytest.raises(InvalidRequestError) as caught:
        await keys.issue(key("other", organization_id=acme.id, allowed_models=("group:dear",)))

    assert caught.value.field == "allowed_models"


async def test_an_update_of_a_key_changes_what_it_says(keys, clock):
    issued = await keys.issue(key())
    clock.advance(seconds=1)

    other = {**FULL, "name": "other", "created_by": ""}
    changed = await keys.update(issued.key.id, lambda record: replace(record, **other))

    assert changed == await keys.get(issued.key.id)
    assert {name: getattr(changed, name) for name in other} == other
    assert changed.last_characters == issued.key.last_characters


@pytest.mark.parametrize("field", ["organization_id", "team_id", "user_id", "created_by"])
async def test_whose_a_key_is_never_changes(keys, field):
    issued = await keys.issue(key())

    with pytest.raises(InvalidRequestError) as caught:
        await keys.update(issued.key.id, lambda record: replace(record, **{field: "x"}))

    assert caught.value.field == field


async def test_a_revoked_key_stays_as_it_is(keys, clock):
    issued = await keys.issue(key())

    revoked = await keys.revoke(issued.key.id, issued.key.etag)
    clock.advance(seconds=1)
    again = await keys.revoke(issued.key.id)

    assert revoked.revoke_time == NOW
    assert again == revoked == await keys.get(issued.key.id)
    with pytest.raises(FailedPreconditionError):
        await keys.update(issued.key.id, lambda record: replace(record, name="other"))
    with pytest.raises(FailedPreconditionError):
        await keys.rotate(issued.key.id, timedelta())


@pytest.mark.parametrize("verb", ["revoke", "rotate", "delete"])
async def test_what_was_changed_meanwhile_is_left_alone(keys, verb):
    issued = await keys.issue(key())
    changed = await keys.update(issued.key.id, lambda record: replace(record, name="other"))
    more = {"overlap": timedelta()} if verb == "rotate" else {}

    with pytest.raises(EtagMismatchError):
        await getattr(keys, verb)(issued.key.id, etag=issued.key.etag, **more)

    assert await keys.get(issued.key.id) == changed


@pytest.mark.parametrize("verb", ["revoke", "rotate", "delete"])
async def test_a_key_that_is_not_there_is_not_found(keys, verb):
    more = {"overlap": timedelta()} if verb == "rotate" else {}

    with pytest.raises(NotFoundError):
        await getattr(keys, verb)("key_nobody", **more)


async def test_a_rotated_key_has_a_new_secret_and_keeps_its_id(records, keys):
    issued = await keys.issue(key())

    rotated = await keys.rotate(issued.key.id, timedelta(), issued.key.etag)

    kept = await stored(records, issued.key.id)
    assert rotated.key.id == issued.key.id
    assert rotated.credential != issued.credential
    assert PEPPERS.prove(PEPPERS.read(rotated.credential), kept.secret_hash)
    assert (kept.previous_hash, rotated.key.overlap_end_time) == (None, None)


async def test_with_an_overlap_the_secret_before_is_kept_until_its_end(records, keys, clock):
    issued = await keys.issue(key())

    rotated = await keys.rotate(issued.key.id, timedelta(days=7))

    kept = await stored(records, issued.key.id)
    assert PEPPERS.prove(PEPPERS.read(issued.credential), kept.previous_hash)
    assert rotated.key.overlap_end_time == NOW + timedelta(days=7)
    clock.advance(days=7)
    assert (await keys.get(issued.key.id)).overlap_end_time is None


async def test_a_second_rotation_ends_the_secret_before_the_first(records, keys):
    first = await keys.issue(key())
    second = await keys.rotate(first.key.id, timedelta(days=1))

    await keys.rotate(first.key.id, timedelta(days=1))

    kept = await stored(records, first.key.id)
    assert PEPPERS.prove(PEPPERS.read(second.credential), kept.previous_hash)
    assert not PEPPERS.prove(PEPPERS.read(first.credential), kept.previous_hash)


@pytest.mark.parametrize("overlap", [timedelta(microseconds=-1), timedelta(days=7, microseconds=1)])
async def test_an_overlap_out_of_range_is_refused(keys, overlap):
    issued = await keys.issue(key())

    with pytest.raises(InvalidRequestError) as caught:
        await keys.rotate(issued.key.id, overlap)

    assert caught.value.field == "overlap"


async def test_an_expired_key_is_not_rotated(keys, clock):
    issued = await keys.issue(key(expire_time=NOW + timedelta(seconds=1)))
    clock.advance(seconds=1)

    with pytest.raises(FailedPreconditionError, match="has expired"):
        await keys.rotate(issued.key.id, timedelta())


async def test_a_deleted_key_is_gone(records, keys):
    issued = await keys.issue(key())

    await keys.delete(issued.key.id)

    assert await records.lookup.stored_keys(frozenset({issued.key.id})) == {}
