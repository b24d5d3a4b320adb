"""The admin API as REST: what reaches the service, and what Envoy refuses by itself."""

import json

import grpc
import httpx
import pytest
from edge.scripted_routing import body
from envoy_process import edge_settings, free_port, running_envoy
from plain_http import TRUSTS_NOBODY

from meshgate.edge.rendering import Address
from meshgate.v1 import key_service_pb2 as pb
from meshgate.v1.key_service_pb2_grpc import KeyServiceStub

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEYS = "/admin/v1/keys"
FIELDS = "x-meshgate-internal-fields"
ANSWERS = {
    "CreateKey": pb.CreateKeyResponse(secret="shown once"),
    "GetKey": pb.GetKeyResponse(key=pb.Key(id="key_a")),
    "ListKeys": pb.ListKeysResponse(),
    "UpdateKey": pb.UpdateKeyResponse(),
    "DeleteKey": pb.DeleteKeyResponse(),
    "RevokeKey": pb.RevokeKeyResponse(),
    "RotateKey": pb.RotateKeyResponse(secret="shown once"),
}


@pytest.fixture
def requests(script):
    """What the service was asked, in order."""
    seen = []

    def answering(response):
        async def answer(request, context):
            seen.append(request)
            return response

        return answer

    for rpc, response in ANSWERS.items():
        script.on(rpc, answering(response))
    return seen


def refusal(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    return body["message"]


async def test_a_key_is_posted_as_json(rest, requests):
    limit = {"kind": "LIMIT_KIND_REQUESTS", "amount": 600, "unit": "WINDOW_UNIT_MINUTE"}

    answer = await rest.post(KEYS, json={"name": "ci", "tags": {"a": "b"}, "limits": [limit]})

    assert answer.json()["secret"] == "shown once"
    [key] = [request.key for request in requests]
    assert (key.name, dict(key.tags), key.limits[0].amount) == ("ci", {"a": "b"}, 600)


async def test_zero_fields_are_printed_in_snake_case(rest, requests):
    answer = await rest.get(f"{KEYS}/key_a")

    key = answer.json()["key"]
    assert key["id"] == "key_a"
    assert (key["allowed_models"], key["team_id"], key["tags"]) == ([], "", {})


@pytest.mark.parametrize("path", ["key_a", "config/bench", "config%2Fbench"])
async def test_a_key_of_the_configuration_has_a_slash_in_its_id(rest, requests, path):
    await rest.get(f"{KEYS}/{path}")
    await rest.patch(f"{KEYS}/{path}?update_mask=name", json={"name": "x"})
    await rest.delete(f"{KEYS}/{path}?etag=1")
    await rest.post(f"{KEYS}/{path}:revoke")
    await rest.post(f"{KEYS}/{path}:rotate", json={"overlap": "60s"})

    key_id = path.replace("%2F", "/")
    assert requests == [
        pb.GetKeyRequest(id=key_id),
        pb.UpdateKeyRequest(key=pb.Key(id=key_id, name="x"), update_mask={"paths": ["name"]}),
        pb.DeleteKeyRequest(id=key_id, etag="1"),
        pb.RevokeKeyRequest(id=key_id),
        pb.RotateKeyRequest(id=key_id, overlap={"seconds": 60}),
    ]


async def test_lists_are_filtered_and_paged_by_the_query(rest, requests):
    await rest.get(KEYS, params={"page_size": 5, "page_token": "t", "show_revoked": "true"})

    assert requests == [pb.ListKeysRequest(page_size=5, page_token="t", show_revoked=True)]


MALFORMED = {
    "no JSON": b"name=a",
    "cut": b'{"name": "a"',
    "an array": b"[]",
    "invalid UTF-8": b'{"name": "\xff"}',
    "a number for text": b'{"name": 5}',
    "an unknown word": b'{"limits": [{"kind": "NOPE"}]}',
    "a number too large": b'{"limits": [{"amount": 1e30}]}',
    "no time": b'{"expire_time": "tomorrow"}',
    "deep nesting": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_body_that_cannot_be_read_is_a_bad_request(rest, requests, body):
    answer = await rest.post(KEYS, content=body, headers={"content-type": "application/json"})

    assert "cannot be read" in refusal(answer, 400)
    assert requests == []


@pytest.mark.parametrize("query", ["pagesize=5", "page_size=x", "page_size=99999999999999"])
async def test_a_query_that_cannot_be_read_is_a_bad_request(rest, requests, query):
    answer = await rest.get(f"{KEYS}?{query}")

    assert query.partition("=")[0] in refusal(answer, 400)
    assert requests == []


@pytest.mark.parametrize("verb", ["PATCH", "POST"])
async def test_a_body_that_names_another_record_than_the_path_is_refused(rest, requests, verb):
    path = f"{KEYS}/key_a" + (":revoke" if verb == "POST" else "")

    answer = await rest.request(verb, path, json={"id": "key_b"})

    assert "conflicting" in refusal(answer, 400)
    assert requests == []


@pytest.mark.parametrize("megabytes", [2, 10, 60])
async def test_a_large_body_is_refused_once_it_was_sent(rest, requests, megabytes):
    answer = await rest.post(KEYS, content=b"x" * (megabytes << 20))

    assert refusal(answer, 413) == "The request body is larger than 1 MiB."
    assert requests == []


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/admin/v1/nothing"),
        ("GET", "/admin/v1/"),
        ("PUT", f"{KEYS}/key_a"),
        ("GET", f"{KEYS}/key_a:rotate"),
        ("POST", "/admin/v1/keys/../../../meshgate.v1.KeyService/ListKeys"),
    ],
)
async def test_what_is_not_served_is_not_found(rest, requests, verb, path):
    answer = await rest.request(verb, path)

    assert answer.status_code == 404
    assert requests == []


async def test_the_service_is_told_which_fields_the_json_names(rest, requests, script):
    body = {
        "name": 'a "quoted": {[ text',
        "limits": [{"kind": 1, "amount": 5}, {"amount": 6, "amont": 7}],
        "tags": {"cost-center": "\\", 'odd,".\n': "x"},
        "roles": [],
        "bogus": [[{"inner": None}]],
    }

    await rest.post(KEYS, json=body)

    assert script.metadata[0][FIELDS].split(",") == [
        "name",
        "limits",
        "limits.kind",
        "limits.amount",
        "limits.amont",
        "tags",
        "tags.cost%2dcenter",
        "tags.odd%2c%5c%22%2e%5cn",
        "roles",
        "bogus",
        "bogus.inner",
    ]


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_no_client_tells_it_otherwise(rest, requests, script, verb):
    await rest.request(verb, KEYS, headers={FIELDS: "forged"}, content=b"{}")

    assert FIELDS not in script.metadata[0]


@pytest.mark.parametrize(
    "body",
    [{"x" * 900_000: 1}, {f"field_{number}": 1 for number in range(40_000)}],
    ids=["a long name", "many names"],
)
async def test_names_without_end_are_told_in_part(rest, requests, script, body):
    answer = await rest.post(KEYS, content=json.dumps(body))

    assert answer.status_code == 200
    assert 200 < len(script.metadata[0][FIELDS]) < 20_000


async def test_native_grpc_reaches_the_service_as_it_is(channel, requests, script):
    await KeyServiceStub(channel).GetKey(
        pb.GetKeyRequest(id="key_a"), metadata=((FIELDS, "forged"), ("x-api-key", "mg-1"))
    )

    assert requests == [pb.GetKeyRequest(id="key_a")]
    assert script.metadata[0]["x-api-key"] == "mg-1"
    assert script.metadata[0]["x-envoy-external-address"] == "127.0.0.1"
    assert FIELDS not in script.metadata[0]


async def test_without_auth_the_admin_api_alone_is_unavailable(routing, script):
    async def models(request, context):
        return body(b"{}")

    script.on("ListModels", models)
    nowhere = [Address("127.0.0.1", free_port())]
    async with running_envoy(edge_settings(routing.addresses, auth=nowhere)) as edge:
        async with httpx.AsyncClient(base_url=edge.base_url, verify=TRUSTS_NOBODY) as client:
            answer = await client.get(KEYS)
            others = await client.get("/v1/models")
        async with grpc.aio.insecure_channel(edge.grpc_target) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await KeyServiceStub(channel).ListKeys(pb.ListKeysRequest())

    refusal(answer, 503)
    assert answer.headers["retry-after"]
    assert others.status_code == 200
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
