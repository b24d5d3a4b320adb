"""Who reaches what: organizations, teams and roles, and that nobody gives what it does not have."""

import pytest
from auth.administering import administering
from auth.configuration import key as configured_key
from auth.configuration import snapshot
from auth.world import World
from structlog.testing import capture_logs

from meshgate.v1 import key_service_pb2 as pb
from meshgate.v1 import organization_service_pb2 as organizations_pb
from meshgate.v1 import team_service_pb2 as teams_pb
from meshgate.v1 import user_service_pb2 as users_pb

CONFIGURED = snapshot(
    configured_key("ours", organization_id="acme"),
    configured_key("theirs", organization_id="evil"),
)


@pytest.fixture
async def world(tmp_path):
    async with administering("in-process", tmp_path, CONFIGURED) as api:
        world = World(api)
        await world.fill()
        yield world


SEEN = {
    "root": {"ours", "theirs", "k-acme", "k-core", "k-web", "k-evil", "k-admin", "k-llama"},
    "org-admin": {"k-acme", "k-core", "k-web", "k-admin", "k-llama"},
    "viewer": {"k-acme", "k-core", "k-web", "k-admin", "k-llama"},
    "team-admin": {"k-core", "k-admin", "k-llama"},
}


@pytest.mark.parametrize("caller", SEEN)
async def test_a_list_has_what_the_caller_reaches(world, caller):
    listed = await world.call(caller, "ListKeys", pb.ListKeysRequest())

    assert {key.name for key in listed.keys} == SEEN[caller]


@pytest.mark.parametrize("caller", SEEN)
async def test_what_is_out_of_reach_is_not_found_in_the_words_for_what_is_not_there(world, caller):
    for name in ("k-acme", "k-core", "k-web", "k-evil", "k-admin"):
        key_id = world.ids[name]
        if name in SEEN[caller]:
            assert (await world.call(caller, "GetKey", pb.GetKeyRequest(id=key_id))).key.name
            continue
        error = await world.api.refused("GetKey", pb.GetKeyRequest(id=key_id), caller)
        absent = await world.api.refused("GetKey", pb.GetKeyRequest(id="key_absent"), caller)

        assert error.message == absent.message.replace("key_absent", key_id)
        assert error.values == absent.values | {"id": key_id}
        assert error.reason == "ERROR_REASON_NOT_FOUND"


@pytest.mark.parametrize("caller", ["org-admin", "team-admin"])
@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("UpdateKey", lambda key_id: pb.UpdateKeyRequest(key=pb.Key(id=key_id, name="x"))),
        ("DeleteKey", lambda key_id: pb.DeleteKeyRequest(id=key_id)),
        ("RevokeKey", lambda key_id: pb.RevokeKeyRequest(id=key_id)),
        ("RotateKey", lambda key_id: pb.RotateKeyRequest(id=key_id)),
    ],
)
class TestWriting:
    async def test_a_key_elsewhere_is_not_found(self, world, caller, rpc, request_):
        reason = await world.refused(caller, rpc, request_(world.ids["k-evil"]))

        assert reason == "NOT_FOUND"

    async def test_a_key_with_a_role_that_one_may_not_give_cannot_be_taken_over(
        self, world, caller, rpc, request_
    ):
        reason = await world.refused(caller, rpc, request_(world.ids["k-admin"]))

        assert reason == "PERMISSION_DENIED"

    async def test_a_key_within_reach_can_be_changed(self, world, caller, rpc, request_):
        await world.call(caller, rpc, request_(world.ids["k-core"]))


async def test_a_new_key_lies_where_its_maker_does(world):
    by_organization = await world.create("org-admin", name="a")
    by_team = await world.create("team-admin", name="b")
    by_root = await world.create("root", name="c")

    places = [
        (made.key.organization_id, made.key.team_id) for made in (by_organization, by_team, by_root)
    ]
    acme, core = world.ids["acme"], world.ids["core"]
    assert places == [(acme, ""), (acme, core), ("default", "")]
    assert by_team.key.creator_id == "team-admin"


@pytest.mark.parametrize(
    ("caller", "place"),
    [
        ("org-admin", {"organization": "evil"}),
        ("org-admin", {"organization": "evil", "team": "theirs"}),
        ("team-admin", {"organization": "evil"}),
        ("team-admin", {"team": "web"}),
        ("team-admin", {"team": "theirs"}),
    ],
)
async def test_nobody_makes_a_key_out_of_reach(world, caller, place):
    reason = await world.refused(caller, "CreateKey", world.creating(**place))

    assert reason == "PERMISSION_DENIED"


@pytest.mark.parametrize("place", [{"team": "theirs"}, {"user": "eve"}])
async def test_no_key_belongs_to_a_team_or_user_of_another_organization(world, place):
    reason = await world.refused("org-admin", "CreateKey", world.creating(**place))

    assert reason == "NOT_FOUND"


GIVEN = {
    "root": {"admin", "organization-admin", "team-admin", "viewer"},
    "org-admin": {"organization-admin", "team-admin", "viewer"},
    "team-admin": {"team-admin"},
}


@pytest.mark.parametrize("role", sorted(GIVEN["root"]))
@pytest.mark.parametrize("caller", GIVEN)
async def test_nobody_gives_a_role_that_it_does_not_have(world, caller, role):
    place = {"organization": "acme", "team": "core"}
    creating = world.creating(roles=[role], **place)
    granting = pb.UpdateKeyRequest(key=pb.Key(id=world.ids["k-core"], roles=[role]))

    if role in GIVEN[caller]:
        assert (await world.call(caller, "CreateKey", creating)).key.roles == [role]
        assert (await world.call(caller, "UpdateKey", granting)).key.roles == [role]
    else:
        assert await world.refused(caller, "CreateKey", creating) == "PERMISSION_DENIED"
        assert await world.refused(caller, "UpdateKey", granting) == "PERMISSION_DENIED"


async def test_nobody_gives_a_user_a_role_that_it_does_not_have(world):
    creating = users_pb.CreateUserRequest(user=users_pb.User(name="mallory", roles=["admin"]))
    granting = users_pb.UpdateUserRequest(
        user=users_pb.User(id=world.ids["ada"], roles=["viewer", "admin"])
    )

    assert await world.refused("org-admin", "CreateUser", creating) == "PERMISSION_DENIED"
    assert await world.refused("org-admin", "UpdateUser", granting) == "PERMISSION_DENIED"


async def test_a_user_with_a_role_that_one_may_not_give_is_not_ones_to_change(world):
    await world.call(
        "root",
        "UpdateUser",
        users_pb.UpdateUserRequest(user=users_pb.User(id=world.ids["ada"], roles=["admin"])),
    )
    renaming = users_pb.UpdateUserRequest(user=users_pb.User(id=world.ids["ada"], name="x"))
    deleting = users_pb.DeleteUserRequest(id=world.ids["ada"])

    assert await world.refused("org-admin", "UpdateUser", renaming) == "PERMISSION_DENIED"
    assert await world.refused("org-admin", "DeleteUser", deleting) == "PERMISSION_DENIED"


async def test_a_role_given_to_a_key_meanwhile_is_not_taken_over_by_a_rotation(world):
    key_id = world.ids["k-core"]
    keys = world.api.directory.keys
    get = keys.get

    async def get_and_then_give_a_role(record_id):
        record = await get(record_id)
        request = pb.UpdateKeyRequest(key=pb.Key(id=key_id, roles=["admin"]))
        keys.get = get
        await world.call("root", "UpdateKey", request)
        return record

    keys.get = get_and_then_give_a_role

    assert (
        await world.refused("team-admin", "RotateKey", pb.RotateKeyRequest(id=key_id))
        == "ETAG_MISMATCH"
    )


@pytest.mark.parametrize("filters", [{"organization_id": "evil"}, {"organization_id": "default"}])
@pytest.mark.parametrize("caller", ["org-admin", "viewer", "team-admin"])
async def test_a_list_of_another_organization_is_refused(world, caller, filters):
    filters = {name: world.ids.get(value, value) for name, value in filters.items()}

    reason = await world.refused(caller, "ListKeys", pb.ListKeysRequest(**filters))

    assert reason == "PERMISSION_DENIED"


async def test_a_team_admin_lists_no_other_team(world):
    request = pb.ListKeysRequest(team_id=world.ids["web"])

    assert await world.refused("team-admin", "ListKeys", request) == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("caller", "seen"),
    [
        ("root", ["core", "theirs", "web"]),
        ("org-admin", ["core", "web"]),
        ("viewer", ["core", "web"]),
        ("team-admin", ["core"]),
    ],
)
async def test_teams_are_listed_as_far_as_one_reaches(world, caller, seen):
    listed = await world.call(caller, "ListTeams", teams_pb.ListTeamsRequest())

    assert [team.name for team in listed.teams] == seen


async def test_the_one_team_that_is_reached_must_fit_the_filter(world):
    request = teams_pb.ListTeamsRequest(name_prefix="w")

    assert list((await world.call("team-admin", "ListTeams", request)).teams) == []


@pytest.mark.parametrize("caller", ["org-admin", "viewer"])
async def test_everybody_sees_only_its_own_organization(world, caller):
    listed = await world.call(
        caller, "ListOrganizations", organizations_pb.ListOrganizationsRequest()
    )
    getting = organizations_pb.GetOrganizationRequest(id=world.ids["evil"])

    assert [organization.name for organization in listed.organizations] == ["acme"]
    assert await world.refused(caller, "GetOrganization", getting) == "NOT_FOUND"


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("CreateOrganization", organizations_pb.CreateOrganizationRequest()),
        ("UpdateOrganization", organizations_pb.UpdateOrganizationRequest()),
        ("DeleteOrganization", organizations_pb.DeleteOrganizationRequest()),
    ],
)
@pytest.mark.parametrize("caller", ["org-admin", "team-admin", "viewer", "nobody"])
async def test_only_an_admin_changes_organizations(world, caller, rpc, request_):
    assert await world.refused(caller, rpc, request_) == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("ListKeys", pb.ListKeysRequest()),
        ("GetKey", pb.GetKeyRequest(id="key_1")),
        ("CreateKey", pb.CreateKeyRequest(key=pb.Key(name="x"))),
        ("ListTeams", teams_pb.ListTeamsRequest()),
        ("ListUsers", users_pb.ListUsersRequest()),
        ("ListOrganizations", organizations_pb.ListOrganizationsRequest()),
    ],
)
async def test_a_key_without_roles_administers_nothing(world, rpc, request_):
    assert await world.refused("nobody", rpc, request_) == "PERMISSION_DENIED"


async def test_a_viewer_changes_nothing(world):
    for rpc, request in [
        ("CreateKey", world.creating()),
        ("UpdateKey", pb.UpdateKeyRequest(key=pb.Key(id=world.ids["k-core"], name="x"))),
        ("RotateKey", pb.RotateKeyRequest(id=world.ids["k-core"])),
        ("CreateTeam", teams_pb.CreateTeamRequest(team=teams_pb.Team(name="x"))),
        ("CreateUser", users_pb.CreateUserRequest(user=users_pb.User(name="x"))),
    ]:
        assert await world.refused("viewer", rpc, request) == "PERMISSION_DENIED"


@pytest.fixture
def restricted(world):
    """An administrator of the team who may use few models itself."""
    place = {"organization_id": world.ids["acme"], "team_id": world.ids["core"]}
    return world.api.callers.add("restricted", "team-admin", models=("gpt-*", "llama"), **place)


def for_models(world, *models):
    creating = world.creating()
    creating.key.allowed_models.extend(models)
    return creating


@pytest.mark.parametrize("models", [["llama"], ["gpt-*"], ["gpt-4*", "gpt-5"]])
async def test_models_that_one_may_use_may_be_given(world, restricted, models):
    made = await world.call(restricted, "CreateKey", for_models(world, *models))

    assert made.key.allowed_models == models


@pytest.mark.parametrize(
    "models", [[], ["*"], ["llama", "claude"], ["gpt*"], ["*llama"], ["group:cheap"]]
)
async def test_nobody_gives_a_model_that_it_may_not_use(world, restricted, models):
    granting = pb.UpdateKeyRequest(key=pb.Key(id=world.ids["k-llama"], allowed_models=models))

    assert (
        await world.refused(restricted, "CreateKey", for_models(world, *models))
        == "PERMISSION_DENIED"
    )
    if models:
        assert await world.refused(restricted, "UpdateKey", granting) == "PERMISSION_DENIED"


async def test_a_key_with_more_models_can_be_narrowed_and_ended_but_not_taken_over(
    world, restricted
):
    key_id = world.ids["k-core"]
    narrowing = pb.UpdateKeyRequest(key=pb.Key(id=key_id, tags={"a": "b"}))
    rotating = pb.RotateKeyRequest(id=key_id)

    await world.call(restricted, "UpdateKey", narrowing)
    assert await world.refused(restricted, "RotateKey", rotating) == "PERMISSION_DENIED"
    await world.call(restricted, "RevokeKey", pb.RevokeKeyRequest(id=key_id))


async def test_the_log_tells_who_changed_what_and_no_secret(world):
    key_id = world.ids["k-core"]

    with capture_logs() as logs:
        made = await world.create("org-admin", name="a")
        await world.call(
            "org-admin", "UpdateKey", pb.UpdateKeyRequest(key=pb.Key(id=key_id, name="b"))
        )
        rotated = await world.call("team-admin", "RotateKey", pb.RotateKeyRequest(id=key_id))
        await world.call("root", "RevokeKey", pb.RevokeKeyRequest(id=key_id))
        await world.call("root", "DeleteKey", pb.DeleteKeyRequest(id=key_id))
        await world.call("root", "ListKeys", pb.ListKeysRequest())

    assert [(log["event"], log["id"], log["caller"]) for log in logs] == [
        ("key created", made.key.id, "org-admin"),
        ("key updated", key_id, "org-admin"),
        ("key rotated", key_id, "team-admin"),
        ("key revoked", key_id, "admin"),
        ("key deleted", key_id, "admin"),
    ]
    assert made.secret not in str(logs)
    assert rotated.secret not in str(logs)
