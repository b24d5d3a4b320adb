"""Keys, teams, users and organizations through the public port: REST, gRPC and the command line."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from gateway_process import ADMIN_KEY, Gateway

from meshgate.runtime.errors import GatewayError
from meshgate.runtime.status import error_of_call
from meshgate.v1 import key_service_pb2, key_service_pb2_grpc

pytestmark = pytest.mark.mesh

KEYS = "/admin/v1/keys"
CHAT = {"model": "one-try", "messages": [{"role": "user", "content": "hello"}]}
REFUSED_SECONDS = 20


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client(key=ADMIN_KEY) as client:
        yield client


@pytest.fixture
async def keys(gateway: Gateway) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(gateway.grpc_target) as channel:
        yield key_service_pb2_grpc.KeyServiceStub(channel)


def name() -> str:
    """One that no other test has: they share the gateways."""
    return f"test-{secrets.token_hex(4)}"


async def made(admin: httpx.AsyncClient, kind: str, **fields: Any) -> dict[str, Any]:
    answer = await admin.post(f"/admin/v1/{kind}", json={"name": name(), **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def chat(gateway: Gateway, key: str) -> httpx.Response:
    async with gateway.client(key=key) as client:
        return await client.post("/v1/chat/completions", json=CHAT)


async def until_refused(gateway: Gateway, key: str) -> None:
    async with asyncio.timeout(REFUSED_SECONDS):
        while (await chat(gateway, key)).status_code != 401:
            await asyncio.sleep(0.05)


def status(answer: httpx.Response, http_status: int) -> dict[str, Any]:
    """A google.rpc.Status."""
    assert answer.status_code == http_status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body: dict[str, Any] = answer.json()
    assert set(body) == {"code", "message", "details"}
    assert body["message"]
    return body


def field(body: dict[str, Any]) -> str:
    """The field that a status finds fault with."""
    [request] = [d for d in body["details"] if d["@type"].endswith("google.rpc.BadRequest")]
    [violation] = request["field_violations"]
    return str(violation["field"])


async def test_a_key_lives_and_dies(gateway: Gateway, admin: httpx.AsyncClient) -> None:
    body = await made(admin, "keys", allowed_models=["one-try"])
    key_id, secret = body["key"]["id"], body["secret"]

    assert (await chat(gateway, secret)).status_code == 200
    read = (await admin.get(f"{KEYS}/{key_id}")).json()["key"]
    assert read["allowed_models"] == ["one-try"]
    assert (read["team_id"], read["tags"], read["limits"]) == ("", {}, [])
    assert secret not in json.dumps(read)

    revoked = await admin.post(f"{KEYS}/{key_id}:revoke")
    assert revoked.json()["key"]["state"] == "KEY_STATE_REVOKED"
    await until_refused(gateway, secret)


async def test_an_update_holds_for_the_next_requests(
    gateway: Gateway, admin: httpx.AsyncClient
) -> None:
    body = await made(admin, "keys")
    assert (await chat(gateway, body["secret"])).status_code == 200

    await admin.patch(
        f"{KEYS}/{body['key']['id']}",
        params={"update_mask": "allowed_models"},
        json={"allowed_models": ["other"]},
    )

    async with asyncio.timeout(REFUSED_SECONDS):
        while (await chat(gateway, body["secret"])).status_code != 403:
            await asyncio.sleep(0.05)


async def test_a_rotated_key_has_two_secrets_for_the_overlap_and_no_third(
    gateway: Gateway, admin: httpx.AsyncClient
) -> None:
    body = await made(admin, "keys")
    rotate = f"{KEYS}/{body['key']['id']}:rotate"

    second = (await admin.post(rotate, json={"overlap": "600s"})).json()["secret"]
    assert [(await chat(gateway, key)).status_code for key in (body["secret"], second)] == [200] * 2

    third = (await admin.post(rotate, json={"overlap": "600s"})).json()["secret"]
    await until_refused(gateway, body["secret"])
    assert [(await chat(gateway, key)).status_code for key in (second, third)] == [200] * 2


async def test_keys_of_the_configuration_can_be_read_and_not_changed(
    admin: httpx.AsyncClient,
) -> None:
    listed = (await admin.get(KEYS, params={"page_size": 2})).json()
    refused = await admin.patch(f"{KEYS}/config/small", json={"name": "x"})

    assert [key["id"] for key in listed["keys"]] == ["config/small", "config/test"]
    assert (await admin.get(f"{KEYS}/config/small")).json()["key"]["allowed_models"] == ["vendor/*"]
    assert status(refused, 400)["code"] == grpc.StatusCode.FAILED_PRECONDITION.value[0]


async def test_many_keys_are_paged(admin: httpx.AsyncClient) -> None:
    prefix = name()
    for number in range(5):
        await made(admin, "keys", name=f"{prefix}-{number}")

    names, token = [], ""
    while True:
        params = {"page_size": 2, "page_token": token, "name_prefix": prefix}
        page = (await admin.get(KEYS, params=params)).json()
        names += [key["name"] for key in page["keys"]]
        if not (token := page["next_page_token"]):
            break

    assert names == [f"{prefix}-{number}" for number in range(5)]


async def test_an_organization_administers_itself_and_nothing_else(
    gateway: Gateway, admin: httpx.AsyncClient
) -> None:
    acme = (await made(admin, "organizations"))["organization"]["id"]
    elsewhere = (await made(admin, "keys"))["key"]["id"]
    role = {"organization_id": acme, "roles": ["organization-admin"]}
    secret = (await made(admin, "keys", **role))["secret"]

    async with gateway.client(key=secret) as own:
        team = (await made(own, "teams"))["team"]
        user = (await made(own, "users", team_ids=[team["id"]]))["user"]
        key = (await made(own, "keys", team_id=team["id"], user_id=user["id"]))["key"]
        listed = (await own.get(KEYS)).json()["keys"]

        assert (team["organization_id"], key["organization_id"]) == (acme, acme)
        assert {key["organization_id"] for key in listed} == {acme}
        status(await own.get(f"{KEYS}/{elsewhere}"), 404)
        status(await own.post(f"{KEYS}/{elsewhere}:rotate"), 404)
        status(await own.post(KEYS, json={"name": name(), "roles": ["admin"]}), 403)
        status(await own.post(KEYS, json={"name": name(), "organization_id": "default"}), 403)
        status(await own.patch(f"/admin/v1/organizations/{acme}", json={"name": "x"}), 403)
        assert (await chat(gateway, secret)).status_code == 200


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["keys", "teams", "users", "organizations"])
async def test_a_key_for_models_administers_nothing(gateway: Gateway, verb: str, kind: str) -> None:
    async with gateway.client() as client:
        answer = await client.request(verb, f"/admin/v1/{kind}", json={"name": "x"})

    [info, *_] = status(answer, 403)["details"]
    assert info["reason"] == "ERROR_REASON_PERMISSION_DENIED"


async def test_strangers_are_let_in_nowhere(gateway: Gateway) -> None:
    async with gateway.client(key=None) as client:
        status(await client.get(KEYS), 401)
        status(await client.get(KEYS, headers={"x-api-key": "mg-guess"}), 401)


async def test_the_same_over_native_grpc(gateway: Gateway, keys: Any) -> None:
    metadata = (("authorization", f"Bearer {ADMIN_KEY}"),)
    asked = key_service_pb2.Key(name=name())

    made = await keys.CreateKey(key_service_pb2.CreateKeyRequest(key=asked), metadata=metadata)
    assert (await chat(gateway, made.secret)).status_code == 200
    await keys.RevokeKey(key_service_pb2.RevokeKeyRequest(id=made.key.id), metadata=metadata)
    await until_refused(gateway, made.secret)


async def test_native_grpc_clients_get_the_genuine_status(keys: Any, gateway: Gateway) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await keys.ListKeys(
            key_service_pb2.ListKeysRequest(page_token="a lie"),
            metadata=(("authorization", f"Bearer {ADMIN_KEY}"),),
        )

    error: GatewayError = error_of_call(raised.value, "auth")
    assert (raised.value.code(), error.field) == (grpc.StatusCode.INVALID_ARGUMENT, "page_token")


LIMIT = {"kind": "LIMIT_KIND_REQUESTS", "amount": 5, "unit": "WINDOW_UNIT_DAY"}
WRONG_FIELDS: dict[str, dict[str, Any]] = {
    "key.name": {"name": ""},
    "key.bogus": {"bogus": 1},
    "key.limits.amont": {"limits": [LIMIT | {"amont": 5}]},
    "key.limits[1].amount": {"limits": [LIMIT, LIMIT | {"amount": -1}]},
    "key.limits[0].amount": {"limits": [LIMIT | {"amount": "9223372036854775807"}]},
    "key.limits[0].time_zone": {"limits": [LIMIT | {"time_zone": "Mars/Base"}]},
    "key.limits[0].kind": {"limits": [LIMIT | {"kind": 77}]},
    "key.limits": {"limits": [LIMIT] * 100},
    "key.roles": {"roles": ["sorcerer"]},
    "key.allowed_networks": {"allowed_networks": ["everywhere"]},
    "key.expire_time": {"expire_time": "2001-01-01T00:00:00Z"},
}


@pytest.mark.parametrize(("path", "fields"), WRONG_FIELDS.items(), ids=WRONG_FIELDS)
async def test_a_field_that_cannot_be_is_named(
    admin: httpx.AsyncClient, path: str, fields: dict[str, Any]
) -> None:
    answer = await admin.post(KEYS, json={"name": name(), **fields})

    assert field(status(answer, 400)) == path


UNREADABLE = {
    "no JSON": b"hello",
    "cut": b'{"name": "a',
    "an array": b"[]",
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "deep nesting": b'{"limits": ' + b"[" * 100_000,
    "a number for text": b'{"name": 5}',
    "an unknown word": b'{"name": "a", "limits": [{"kind": "NOPE"}]}',
    "a number without end": b'{"name": "a", "limits": [{"amount": 1e400}]}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_cannot_be_read_is_a_bad_request(admin: httpx.AsyncClient, body: bytes) -> None:
    answer = await admin.post(KEYS, content=body, headers={"content-type": "application/json"})

    assert status(answer, 400)["code"] == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert (await admin.get(KEYS)).status_code == 200


async def test_a_body_of_10_mb_is_too_large(admin: httpx.AsyncClient) -> None:
    status(await admin.post(KEYS, json={"name": "x" * 10_000_000}), 413)
    assert (await admin.get(KEYS)).status_code == 200


@pytest.mark.parametrize("token", ["x", "config.!", "A" * 5_000])
async def test_a_page_token_that_lies_is_a_bad_request(
    admin: httpx.AsyncClient, token: str
) -> None:
    assert field(status(await admin.get(KEYS, params={"page_token": token}), 400)) == "page_token"


async def test_a_stale_etag_is_a_conflict(admin: httpx.AsyncClient) -> None:
    key = (await made(admin, "keys"))["key"]
    await admin.patch(f"{KEYS}/{key['id']}", json={"tags": {"a": "b"}})

    answer = await admin.patch(f"{KEYS}/{key['id']}", json={"name": name(), "etag": key["etag"]})

    status(answer, 409)


@pytest.mark.parametrize("path", ["bogus", "id", "limits.amount", "state"])
async def test_a_mask_with_what_cannot_be_changed_is_a_bad_request(
    admin: httpx.AsyncClient, path: str
) -> None:
    key = (await made(admin, "keys"))["key"]

    answer = await admin.patch(
        f"{KEYS}/{key['id']}", params={"update_mask": f"name,{path}"}, json={"name": name()}
    )

    assert field(status(answer, 400)) == "update_mask"


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/admin/v1/nothing"),
        ("PUT", f"{KEYS}/key_1"),
        ("GET", f"{KEYS}/key_nobody"),
        ("POST", f"{KEYS}/key_nobody:revoke"),
        ("DELETE", "/admin/v1/teams/../../v1/models"),
        ("GET", "/admin/v1/teams/a/b"),
    ],
)
async def test_what_is_not_there_is_not_found(
    admin: httpx.AsyncClient, verb: str, path: str
) -> None:
    assert (await admin.request(verb, path)).status_code == 404


async def run(gateway: Gateway, *arguments: str) -> tuple[int, str, str]:
    """`meshgate` as an administrator has it in a terminal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "meshgate.cli.main", *arguments),
        env={
            "PATH": os.environ["PATH"],
            "MESHGATE_URL": gateway.base_url,
            "MESHGATE_ADMIN_KEY": ADMIN_KEY,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_the_command_line_makes_a_key_that_works_until_it_is_revoked(
    gateway: Gateway,
) -> None:
    team, key = name(), name()
    await run(gateway, "teams", "create", "--name", team, "--rpm", "600")
    options = ("--model", "one-try", "--rpm", "60", "--tpm", "100000")
    code, output, _ = await run(
        gateway, "keys", "create", "--name", key, "--team", team, *options, "--json"
    )
    made = json.loads(output)

    assert code == 0
    assert (await chat(gateway, made["key"])).status_code == 200
    code, output, _ = await run(gateway, "keys", "list", "--team", team)
    assert key in output
    assert "requests/minute=60 tokens/minute=100000" in output
    code, output, _ = await run(gateway, "keys", "revoke", key)
    assert (code, output) == (0, f"{made['id']} ({key}) is revoked\n")
    await until_refused(gateway, made["key"])


async def test_the_command_line_says_what_was_wrong(gateway: Gateway) -> None:
    code, output, errors = await run(
        gateway, "keys", "create", "--name", name(), "--role", "sorcerer"
    )

    assert (code, output) == (1, "")
    assert errors.count("\n") == 1
    assert "'sorcerer' is no role: use admin" in errors
