"""KeyService, over every binding."""

from datetime import UTC, timedelta

import pytest
from auth.administering import NOW, administering
from auth.configuration import key as configured_key
from auth.configuration import snapshot
from bindings import BINDINGS

from meshgate.limits.limit import Limit, LimitKind, WindowUnit
from meshgate.v1 import key_service_pb2 as pb
from meshgate.v1 import limit_pb2

CONFIGURED = snapshot(
    configured_key(
        "bench",
        organization_id="acme",
        limits=(Limit.of(LimitKind.REQUESTS, 5, WindowUnit.MINUTE),),
        tags={"from": "file"},
    ),
    configured_key("old", expire_time=NOW - timedelta(days=1)),
)


@pytest.fixture(params=BINDINGS)
async def api(request, tmp_path):
    async with administering(request.param, tmp_path, CONFIGURED) as api:
        yield api


@pytest.fixture
async def local(tmp_path):
    """The same over one binding, for what no binding changes."""
    async with administering("in-process", tmp_path, CONFIGURED) as api:
        yield api


async def created(api, name="ci", **fields):
    return (await api.call("CreateKey", pb.CreateKeyRequest(key=pb.Key(name=name, **fields)))).key


def limit(**fields):
    known = {
        "kind": limit_pb2.LIMIT_KIND_REQUESTS,
        "amount": 600,
        "unit": limit_pb2.WINDOW_UNIT_MINUTE,
    }
    return limit_pb2.Limit(**(known | fields))


async def test_a_key_is_what_was_asked_for_and_its_secret_is_shown_once(api):
    asked = pb.Key(
        name="ci",
        roles=["viewer"],
        allowed_models=["gpt-*"],
        allowed_networks=["10.0.0.0/8"],
        tags={"env": "test"},
        limits=[limit()],
        id="mine",
        etag="mine",
        state=pb.KEY_STATE_REVOKED,
    )
    asked.expire_time.FromDatetime(NOW + timedelta(days=30))

    made = await api.call("CreateKey", pb.CreateKeyRequest(key=asked))
    got = await api.call("GetKey", pb.GetKeyRequest(id=made.key.id))

    assert made.secret.startswith("mg-")
    assert made.key == got.key
    assert made.secret not in str(got)
    key = got.key
    assert (key.name, key.organization_id, key.creator_id) == ("ci", "default", "admin")
    assert (key.roles, key.allowed_models, dict(key.tags)) == (
        ["viewer"],
        ["gpt-*"],
        {"env": "test"},
    )
    assert key.expire_time.ToDatetime(UTC) == NOW + timedelta(days=30)
    assert key.limits == [limit(mode=limit_pb2.WINDOW_MODE_ROLLING, enforcement=1)]
    assert key.state == pb.KEY_STATE_ACTIVE
    assert key.id.startswith("key_")
    assert key.last_characters == made.secret[-4:]
    assert key.create_time.ToDatetime(UTC) == NOW
    assert key.etag not in ("", "mine")


async def test_a_key_for_which_no_model_is_named_may_use_all(local):
    assert (await created(local)).allowed_models == ["*"]


async def test_keys_of_the_configuration_come_first_in_lists(api):
    await created(api, "b")
    await created(api, "a")

    listed = await api.call("ListKeys", pb.ListKeysRequest())

    assert [key.name for key in listed.keys] == ["bench", "old", "a", "b"]
    assert [key.state for key in listed.keys[:2]] == [pb.KEY_STATE_ACTIVE, pb.KEY_STATE_EXPIRED]
    assert listed.next_page_token == ""


async def test_a_key_of_the_configuration_can_be_read(api):
    key = (await api.call("GetKey", pb.GetKeyRequest(id="config/bench"))).key

    assert (key.id, key.organization_id, key.etag) == ("config/bench", "acme", "")
    assert (key.limits[0].amount, dict(key.tags)) == (5, {"from": "file"})
    assert not key.HasField("create_time")


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("UpdateKey", pb.UpdateKeyRequest(key=pb.Key(id="config/bench", name="x"))),
        ("DeleteKey", pb.DeleteKeyRequest(id="config/bench")),
        ("RevokeKey", pb.RevokeKeyRequest(id="config/bench")),
        ("RotateKey", pb.RotateKeyRequest(id="config/bench")),
    ],
)
async def test_a_key_of_the_configuration_cannot_be_changed_here(api, rpc, request_):
    error = await api.refused(rpc, request_)

    assert error.reason == "ERROR_REASON_FAILED_PRECONDITION"
    assert error.values == {"resource": "key", "id": "config/bench"}


@pytest.mark.parametrize("key_id", ["config/nobody", "key_nobody", "", "x" * 10_000, "a\x00b", "é"])
async def test_a_key_that_is_not_there_is_not_found(local, key_id):
    error = await local.refused("GetKey", pb.GetKeyRequest(id=key_id))

    assert error.reason == "ERROR_REASON_NOT_FOUND"
    assert error.values == {"resource": "key", "id": key_id[:100]}


@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 5])
async def test_pages_lead_from_the_configuration_on_to_the_others(api, page_size):
    for name in ("a", "b", "c"):
        await created(api, name)

    names, token = [], ""
    while True:
        page = await api.call("ListKeys", pb.ListKeysRequest(page_size=page_size, page_token=token))
        assert len(page.keys) <= page_size
        names += [key.name for key in page.keys]
        if not (token := page.next_page_token):
            break

    assert names == ["bench", "old", "a", "b", "c"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"organization_id": "acme"}, ["bench"]),
        ({"organization_id": "default"}, ["old", "a", "b"]),
        ({"name_prefix": "b"}, ["bench", "b"]),
        ({"user_id": "user_nobody"}, []),
        ({"team_id": "team_nobody"}, []),
        ({"show_revoked": True}, ["bench", "old", "a", "b", "gone"]),
        ({"name_prefix": "'; drop table keys --"}, []),
    ],
)
async def test_lists_are_filtered(local, filters, names):
    for name in ("a", "b", "gone"):
        key = await created(local, name)
    await local.call("RevokeKey", pb.RevokeKeyRequest(id=key.id))

    listed = await local.call("ListKeys", pb.ListKeysRequest(**filters))

    assert [key.name for key in listed.keys] == names


@pytest.mark.parametrize(
    "token", ["x", "config.", "config.YQ=", "config.!!", "config.YQ\n", "A" * 100_000]
)
async def test_a_page_token_that_lies_is_refused(local, token):
    error = await local.refused("ListKeys", pb.ListKeysRequest(page_token=token))

    assert (error.reason, error.field) == ("ERROR_REASON_INVALID_REQUEST", "page_token")


async def test_a_page_token_of_another_list_is_refused(local):
    await created(local, "a")
    await created(local, "b")
    first = await local.call("ListKeys", pb.ListKeysRequest(page_size=3))

    error = await local.refused(
        "ListKeys", pb.ListKeysRequest(page_token=first.next_page_token, user_id="user_1")
    )

    assert error.field == "page_token"


@pytest.mark.parametrize("page_size", [-1, -(2**31)])
async def test_no_page_is_smaller_than_nothing(local, page_size):
    error = await local.refused("ListKeys", pb.ListKeysRequest(page_size=page_size))

    assert error.field == "page_size"


async def test_an_update_changes_what_the_mask_names_and_nothing_else(api):
    key = await created(api, "ci", tags={"a": "b"}, allowed_models=["m"])
    api.clock.advance(seconds=5)

    wanted = pb.Key(id=key.id, name="new", limits=[limit(amount=7)], tags={"not": "this"})
    updated = await api.call(
        "UpdateKey",
        pb.UpdateKeyRequest(key=wanted, update_mask={"paths": ["name", "limits", "roles"]}),
    )

    assert (updated.key.name, dict(updated.key.tags)) == ("new", {"a": "b"})
    assert (updated.key.allowed_models, updated.key.limits[0].amount) == (["m"], 7)
    assert updated.key.etag != key.etag
    assert updated.key.update_time.ToDatetime(UTC) == NOW + timedelta(seconds=5)


async def test_without_a_mask_what_is_set_is_changed(local):
    key = await created(local, "ci", tags={"a": "b"})

    updated = await local.call("UpdateKey", pb.UpdateKeyRequest(key=pb.Key(id=key.id, name="new")))

    assert (updated.key.name, dict(updated.key.tags)) == ("new", {"a": "b"})


async def test_a_key_can_be_read_changed_and_written_back(local):
    key = await created(local, "ci", tags={"a": "b"})
    key.name = "new"

    updated = (await local.call("UpdateKey", pb.UpdateKeyRequest(key=key))).key

    assert (updated.name, updated.id) == ("new", key.id)


async def test_a_star_replaces_everything_that_can_be_changed(local):
    key = await created(local, "ci", tags={"a": "b"}, limits=[limit()])

    updated = (
        await local.call(
            "UpdateKey",
            pb.UpdateKeyRequest(key=pb.Key(id=key.id, name="new"), update_mask={"paths": ["*"]}),
        )
    ).key

    assert (updated.name, updated.tags, updated.limits) == ("new", {}, [])
    assert updated.allowed_models == []


async def test_the_end_of_a_key_can_be_taken_away(local):
    asked = pb.Key(name="ci")
    asked.expire_time.FromDatetime(NOW + timedelta(days=1))
    made = (await local.call("CreateKey", pb.CreateKeyRequest(key=asked))).key

    updated = await local.call(
        "UpdateKey",
        pb.UpdateKeyRequest(key=pb.Key(id=made.id), update_mask={"paths": ["expire_time"]}),
    )

    assert not updated.key.HasField("expire_time")


@pytest.mark.parametrize(
    "path", ["bogus", "id", "etag", "state", "organization_id", "limits.amount", "", "key.name"]
)
async def test_a_mask_that_names_what_cannot_be_changed_is_refused(local, path):
    key = await created(local)

    error = await local.refused(
        "UpdateKey",
        pb.UpdateKeyRequest(key=pb.Key(id=key.id, name="x"), update_mask={"paths": ["name", path]}),
    )

    assert error.field == "update_mask"
    assert error.values["path"] == path


async def test_an_update_of_nothing_is_refused(local):
    key = await created(local)

    error = await local.refused("UpdateKey", pb.UpdateKeyRequest(key=pb.Key(id=key.id)))

    assert error.field == "update_mask"


@pytest.mark.parametrize("name", ["organization_id", "team_id", "user_id"])
async def test_a_key_never_moves(local, name):
    key = await created(local)

    error = await local.refused(
        "UpdateKey", pb.UpdateKeyRequest(key=pb.Key(id=key.id, name="x", **{name: "other"}))
    )

    assert error.field == f"key.{name}"


@pytest.mark.parametrize("rpc", ["UpdateKey", "DeleteKey", "RevokeKey", "RotateKey"])
async def test_a_stale_etag_changes_nothing(api, rpc):
    key = await created(api)
    changed = await api.call("UpdateKey", pb.UpdateKeyRequest(key=pb.Key(id=key.id, name="new")))
    requests = {
        "UpdateKey": pb.UpdateKeyRequest(key=pb.Key(id=key.id, name="x", etag=key.etag)),
        "DeleteKey": pb.DeleteKeyRequest(id=key.id, etag=key.etag),
        "RevokeKey": pb.RevokeKeyRequest(id=key.id, etag=key.etag),
        "RotateKey": pb.RotateKeyRequest(id=key.id, etag=key.etag),
    }

    error = await api.refused(rpc, requests[rpc])

    assert error.reason == "ERROR_REASON_ETAG_MISMATCH"
    assert (await api.call("GetKey", pb.GetKeyRequest(id=key.id))).key == changed.key


async def test_a_revoked_key_stays_as_it_is(api):
    key = await created(api)

    revoked = (await api.call("RevokeKey", pb.RevokeKeyRequest(id=key.id, etag=key.etag))).key
    api.clock.advance(days=1)
    again = (await api.call("RevokeKey", pb.RevokeKeyRequest(id=key.id))).key

    assert revoked.state == pb.KEY_STATE_REVOKED
    assert revoked.revoke_time.ToDatetime(UTC) == NOW
    assert again == revoked


async def test_a_rotated_key_has_another_secret_and_the_one_before_for_the_overlap(api):
    made = await api.call("CreateKey", pb.CreateKeyRequest(key=pb.Key(name="ci")))

    rotated = await api.call(
        "RotateKey", pb.RotateKeyRequest(id=made.key.id, overlap={"seconds": 3600})
    )

    assert rotated.secret != made.secret
    assert rotated.key.id == made.key.id
    assert rotated.key.overlap_end_time.ToDatetime(UTC) == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    "overlap", [{"seconds": -1}, {"seconds": 8 * 86400}, {"seconds": 2**62}, {"nanos": -(2**31)}]
)
async def test_no_overlap_is_negative_or_without_end(local, overlap):
    key = await created(local)

    error = await local.refused("RotateKey", pb.RotateKeyRequest(id=key.id, overlap=overlap))

    assert (error.reason, error.field) == ("ERROR_REASON_INVALID_REQUEST", "overlap")


async def test_a_deleted_key_is_gone(api):
    key = await created(api)

    await api.call("DeleteKey", pb.DeleteKeyRequest(id=key.id))

    error = await api.refused("DeleteKey", pb.DeleteKeyRequest(id=key.id))
    assert error.reason == "ERROR_REASON_NOT_FOUND"


async def test_a_name_is_taken_once(local):
    await created(local, "ci")

    error = await local.refused("CreateKey", pb.CreateKeyRequest(key=pb.Key(name="ci")))

    assert (error.reason, error.field) == ("ERROR_REASON_ALREADY_EXISTS", "key.name")
