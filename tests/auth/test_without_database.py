"""The admin API where there is no database: the configuration can be read, and nothing kept."""

import pytest
from auth.administering import Api, Callers, Clock
from auth.configuration import key as configured_key
from auth.configuration import snapshot
from bindings import BINDINGS

from meshgate.auth.admin_api import admin_api
from meshgate.config.source import FixedSource
from meshgate.v1 import key_service_pb2 as pb
from meshgate.v1 import organization_service_pb2 as organizations_pb
from meshgate.v1 import team_service_pb2 as teams_pb
from meshgate.v1 import user_service_pb2 as users_pb


@pytest.fixture
async def api():
    callers, clock = Callers(), Clock()
    source = FixedSource(snapshot(configured_key("bench")))
    async with BINDINGS["in-process"](admin_api(None, source, callers, clock)) as channel:
        yield Api(channel, callers, None, clock)


async def test_keys_of_the_configuration_are_listed(api):
    listed = await api.call("ListKeys", pb.ListKeysRequest())

    assert [key.id for key in listed.keys] == ["config/bench"]
    assert (await api.call("GetKey", pb.GetKeyRequest(id="config/bench"))).key.name == "bench"


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("ListTeams", teams_pb.ListTeamsRequest()),
        ("ListUsers", users_pb.ListUsersRequest()),
        ("ListOrganizations", organizations_pb.ListOrganizationsRequest()),
    ],
)
async def test_other_lists_are_empty(api, rpc, request_):
    assert (await api.call(rpc, request_)).next_page_token == ""


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("CreateKey", pb.CreateKeyRequest(key=pb.Key(name="ci"))),
        ("CreateTeam", teams_pb.CreateTeamRequest(team=teams_pb.Team(name="a"))),
        ("CreateUser", users_pb.CreateUserRequest(user=users_pb.User(name="a"))),
    ],
)
async def test_who_would_keep_something_is_told_what_is_missing(api, rpc, request_):
    error = await api.refused(rpc, request_)

    assert error.reason == "ERROR_REASON_FAILED_PRECONDITION"
    assert "set AUTH_DATABASE_URL" in error.message


@pytest.mark.parametrize("rpc", ["GetKey", "RevokeKey", "RotateKey", "DeleteKey"])
async def test_a_key_that_is_not_there_is_not_found(api, rpc):
    error = await api.refused(rpc, getattr(pb, f"{rpc}Request")(id="key_1"))

    assert error.reason == "ERROR_REASON_NOT_FOUND"
