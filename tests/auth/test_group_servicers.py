"""TeamService, UserService and OrganizationService, over every binding."""

from datetime import UTC

import pytest
from auth.administering import NOW, administering
from bindings import BINDINGS

from meshgate.v1 import key_service_pb2 as keys_pb
from meshgate.v1 import limit_pb2
from meshgate.v1 import organization_service_pb2 as organizations_pb
from meshgate.v1 import team_service_pb2 as teams_pb
from meshgate.v1 import user_service_pb2 as users_pb

LIMIT = limit_pb2.Limit(
    kind=limit_pb2.LIMIT_KIND_COST,
    amount=5_000_000_000,
    unit=limit_pb2.WINDOW_UNIT_DAY,
    mode=limit_pb2.WINDOW_MODE_CALENDAR,
    time_zone="Europe/Berlin",
    enforcement=limit_pb2.ENFORCEMENT_STRICT,
)
WRONG = limit_pb2.Limit(kind=limit_pb2.LIMIT_KIND_COST, amount=-1)
SHARED = {"tags": {"cost-center": "7"}, "limits": [LIMIT]}


class Kind:
    """The RPCs and messages of one kind of record."""

    def __init__(self, module, name, **fields):
        self.module = module
        self.name = name
        self.noun = name.lower()
        self.fields = {"name": "first", **SHARED, **fields}

    def __str__(self):
        return self.noun

    def message(self, **fields):
        return getattr(self.module, self.name)(**fields)

    def request(self, verb, **fields):
        plural = "s" if verb == "List" else ""
        return (
            f"{verb}{self.name}{plural}",
            getattr(self.module, f"{verb}{self.name}{plural}Request")(**fields),
        )

    async def create(self, api, **fields):
        asked = self.message(**(self.fields | fields))
        return getattr(await api.call(*self.request("Create", **{self.noun: asked})), self.noun)


KINDS = [
    Kind(teams_pb, "Team"),
    Kind(users_pb, "User", email="Ada@Example.com", roles=["viewer"]),
    Kind(
        organizations_pb,
        "Organization",
        model_groups=[{"name": "cheap", "models": ["gpt-*-mini", "llama"]}],
    ),
]


@pytest.fixture(params=BINDINGS)
async def api(request, tmp_path):
    async with administering(request.param, tmp_path) as api:
        yield api


@pytest.fixture(params=KINDS, ids=str)
def kind(request):
    return request.param


async def test_a_record_is_what_was_asked_for(api, kind):
    made = await kind.create(api)
    got = getattr(await api.call(*kind.request("Get", id=made.id)), kind.noun)

    assert made == got
    assert (made.name, dict(made.tags), made.limits) == ("first", {"cost-center": "7"}, [LIMIT])
    assert made.create_time.ToDatetime(UTC) == NOW
    assert made.id
    assert made.etag
    for name in set(kind.fields) - {"name", "tags", "limits", "email"}:
        assert getattr(made, name) == getattr(kind.message(**kind.fields), name)


async def test_an_update_changes_what_the_mask_names(api, kind):
    made = await kind.create(api)

    wanted = kind.message(id=made.id, name="second", etag=made.etag)
    masked = {kind.noun: wanted, "update_mask": {"paths": ["name", "limits"]}}
    changed = getattr(await api.call(*kind.request("Update", **masked)), kind.noun)

    assert (changed.name, changed.limits) == ("second", [])
    assert dict(changed.tags) == {"cost-center": "7"}
    error = await api.refused(*kind.request("Update", **masked))
    assert error.reason == "ERROR_REASON_ETAG_MISMATCH"


async def test_a_mask_with_an_unknown_path_is_refused(api, kind):
    made = await kind.create(api)
    masked = {kind.noun: kind.message(id=made.id), "update_mask": {"paths": ["create_time"]}}

    assert (await api.refused(*kind.request("Update", **masked))).field == "update_mask"


async def test_pages_follow_each_other_by_name(api, kind):
    for name in ("c", "a", "b"):
        await kind.create(api, name=name, **({"email": ""} if kind.noun == "user" else {}))

    names, token = [], ""
    while True:
        page = await api.call(*kind.request("List", page_size=2, page_token=token))
        names += [record.name for record in getattr(page, f"{kind.noun}s")]
        if not (token := page.next_page_token):
            break

    assert [name for name in names if name in "abc"] == ["a", "b", "c"]


async def test_a_page_token_of_another_kind_is_refused(api, kind):
    for name in ("a", "b"):
        await kind.create(api, name=name, **({"email": ""} if kind.noun == "user" else {}))
    page = await api.call(*kind.request("List", page_size=1))

    for other in KINDS:
        if other is not kind:
            error = await api.refused(*other.request("List", page_token=page.next_page_token))
            assert error.field == "page_token"


async def test_a_name_begins_as_is_asked_for(api, kind):
    await kind.create(api, name="search")
    page = await api.call(*kind.request("List", name_prefix="sea"))
    none = await api.call(*kind.request("List", name_prefix="%"))

    assert [record.name for record in getattr(page, f"{kind.noun}s")] == ["search"]
    assert not getattr(none, f"{kind.noun}s")


async def test_a_deleted_record_is_gone(api, kind):
    made = await kind.create(api)

    await api.call(*kind.request("Delete", id=made.id, etag=made.etag))

    error = await api.refused(*kind.request("Get", id=made.id))
    assert (error.reason, error.values["resource"]) == ("ERROR_REASON_NOT_FOUND", kind.noun)


@pytest.mark.parametrize(
    ("fields", "path"),
    [({"name": ""}, "name"), ({"limits": [LIMIT, WRONG]}, "limits[1].amount")],
)
async def test_a_field_that_cannot_be_is_named_by_its_path(api, kind, fields, path):
    asked = kind.message(**(kind.fields | fields))

    error = await api.refused(*kind.request("Create", **{kind.noun: asked}))

    assert error.field == f"{kind.noun}.{path}"


async def test_a_name_is_taken_once(api, kind):
    await kind.create(api)

    error = await api.refused(*kind.request("Create", **{kind.noun: kind.message(name="first")}))

    assert (error.reason, error.field) == ("ERROR_REASON_ALREADY_EXISTS", f"{kind.noun}.name")


async def test_two_model_groups_of_one_name_are_refused(api):
    group = {"name": "cheap", "models": ["a"]}
    asked = organizations_pb.Organization(name="acme", model_groups=[group, group])

    error = await api.refused(
        "CreateOrganization", organizations_pb.CreateOrganizationRequest(organization=asked)
    )

    assert error.field == "organization.model_groups"


async def test_what_others_belong_to_cannot_be_deleted(api):
    team = await KINDS[0].create(api)
    await api.call(
        "CreateKey", keys_pb.CreateKeyRequest(key=keys_pb.Key(name="ci", team_id=team.id))
    )

    error = await api.refused("DeleteTeam", teams_pb.DeleteTeamRequest(id=team.id))

    assert error.reason == "ERROR_REASON_FAILED_PRECONDITION"


async def test_the_members_of_a_team_are_listed(api):
    team = await KINDS[0].create(api)
    await KINDS[1].create(api, name="ada", team_ids=[team.id])
    await KINDS[1].create(api, name="bob", email="")

    page = await api.call("ListUsers", users_pb.ListUsersRequest(team_id=team.id))

    assert [user.name for user in page.users] == ["ada"]
