"""What was used, asked of a whole gateway: as REST, natively, and from the command line."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import httpx
import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.waiting import until

from meshgate.runtime.status import error_of_call
from meshgate.v1 import usage_service_pb2 as pb
from meshgate.v1.usage_service_pb2_grpc import UsageServiceStub

pytestmark = pytest.mark.mesh

USAGE = "/admin/v1/usage"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
WAYS = {"mesh": (), "two-processes": ("--compact", "--workers", "2")}


@pytest.fixture(scope="module", params=WAYS)
def gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream_origin: str,
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("usage")
    with running_gateway(directory, upstream_origin, *WAYS[request.param]) as gateway:
        yield gateway


async def made(gateway: Gateway, kind: str, **fields: Any) -> dict[str, Any]:
    async with gateway.client(ADMIN_KEY) as admin:
        body = {"name": f"test-{secrets.token_hex(4)}", **fields}
        answer = await admin.post(f"/admin/v1/{kind}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def asked(gateway: Gateway, key: str, path: str = USAGE, **params: Any) -> httpx.Response:
    async with gateway.client(key) as client:
        return await client.get(path, params=params)


async def used(gateway: Gateway, key: dict[str, Any], count: int) -> None:
    """Use a key so often, and wait until the ledger tells of it."""
    async with gateway.client(key["secret"]) as client:
        for _ in range(count):
            answer = await client.post("/v1/chat/completions", json=CHAT)
            assert answer.status_code == 200, answer.text

    async def is_told() -> bool:
        of_key = {"filter.key_id": key["key"]["id"]}
        answer = await asked(gateway, ADMIN_KEY, **of_key)
        return answer.status_code == 200 and answer.json()["total"]["requests"] == str(count)

    await until(is_told)


async def test_what_was_used_is_told_with_names_tags_and_time(gateway: Gateway) -> None:
    key = await made(gateway, "keys", tags={"project": "search"})
    key_id = key["key"]["id"]
    await used(gateway, key, 3)

    answer = await asked(
        gateway,
        ADMIN_KEY,
        **{
            "filter.key_id": key_id,
            "filter.tags": "project=search",
            "group_by": ["USAGE_DIMENSION_MODEL", "USAGE_DIMENSION_TARGET"],
            "group_by_tags": "project",
            "bucket": "TIME_BUCKET_DAY",
            "time_zone": "Asia/Kolkata",
        },
    )

    [row] = answer.json()["rows"]
    assert (row["model"], row["target"]) == ("gpt-4o-mini", "main/gpt-4o-mini-2024-07-18")
    assert row["tags"] == {"project": "search"}
    begin = datetime.fromisoformat(row["start_time"])
    assert (begin.hour, begin.minute) == (18, 30)
    assert row["sums"]["requests"] == "3"
    assert int(row["sums"]["input_tokens"]) > 0
    assert "ledger_time" in answer.json()


async def test_requests_are_told_one_by_one_from_page_to_page(gateway: Gateway) -> None:
    key = await made(gateway, "keys")
    await used(gateway, key, 3)
    wanted = {"filter.key_id": key["key"]["id"], "page_size": 2}

    first = (await asked(gateway, ADMIN_KEY, f"{USAGE}/records", **wanted)).json()
    token = first["next_page_token"]
    second = await asked(gateway, ADMIN_KEY, f"{USAGE}/records", **wanted, page_token=token)

    records = [*first["records"], *second.json()["records"]]
    assert len({record["hold_id"] for record in records}) == 3
    assert {record["key_id"] for record in records} == {key["key"]["id"]}
    assert second.json()["next_page_token"] == ""


async def test_a_key_without_a_role_is_told_nothing_and_a_team_admin_of_its_team(
    gateway: Gateway,
) -> None:
    team = (await made(gateway, "teams"))["team"]["id"]
    mine = await made(gateway, "keys", team_id=team, roles=["team-admin"])
    other = await made(gateway, "keys")
    await used(gateway, mine, 1)
    await used(gateway, other, 2)

    told = await asked(gateway, mine["secret"], group_by="USAGE_DIMENSION_KEY")
    refused = await asked(gateway, other["secret"])

    assert [row["key_id"] for row in told.json()["rows"]] == [mine["key"]["id"]]
    assert refused.status_code == 403
    assert "usage.read" in refused.json()["message"]


async def test_what_cannot_be_asked_is_refused_in_json(gateway: Gateway) -> None:
    zone = await asked(gateway, ADMIN_KEY, time_zone="Mars/Olympus")
    misspelled = await asked(gateway, ADMIN_KEY, grup_by="USAGE_DIMENSION_KEY")
    no_path = await asked(gateway, ADMIN_KEY, f"{USAGE}/nothing")
    beside = await asked(gateway, ADMIN_KEY, f"{USAGE}x")

    statuses = [answer.status_code for answer in (zone, misspelled, no_path, beside)]
    assert statuses == [400, 400, 404, 404]
    assert zone.json()["message"].startswith("time_zone: 'Mars/Olympus'")


async def test_native_clients_ask_the_same(gateway: Gateway) -> None:
    key = await made(gateway, "keys")
    await used(gateway, key, 1)
    request = pb.QueryUsageRequest(filter={"key_id": key["key"]["id"]})

    async with grpc.aio.insecure_channel(gateway.grpc_target) as channel:
        stub = UsageServiceStub(channel)
        told = await stub.QueryUsage(request, metadata=bearer(ADMIN_KEY), timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.QueryUsage(request, metadata=bearer("mg-nobody"), timeout=20)

    assert told.total.requests == 1
    assert told.ledger_time.ToDatetime(UTC) <= datetime.now(UTC)
    assert error_of_call(caught.value, "quota").reason == "ERROR_REASON_CREDENTIAL_INVALID"


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


async def test_the_command_line_tells_it_too(gateway: Gateway) -> None:
    key = await made(gateway, "keys")
    key_id = key["key"]["id"]
    await used(gateway, key, 2)

    report = json.loads(await meshgate(gateway, "usage", "--by", "key", "--key", key_id, "--json"))
    records = await meshgate(gateway, "usage", "records", "--key", key_id, "--csv")

    assert [row["key_id"] for row in report["rows"]] == [key_id]
    assert report["total"]["requests"] == "2"
    assert len(records.splitlines()) == 3


async def test_the_books_are_looked_after_from_the_command_line(gateway: Gateway) -> None:
    user = (await made(gateway, "users"))["user"]
    limit = {"kind": "LIMIT_KIND_REQUESTS", "amount": "9", "unit": "WINDOW_UNIT_DAY"}
    key = await made(gateway, "keys", user_id=user["id"], limits=[limit])
    await used(gateway, key, 3)

    before = json.loads(await meshgate(gateway, "usage", "verify", "--json"))
    compared = json.loads(await meshgate(gateway, "usage", "reconcile", "--json"))
    rebuilt = json.loads(await meshgate(gateway, "usage", "rebuild-counters", "--json"))
    erased = await meshgate(gateway, "usage", "erase", "--user", user["name"], "--yes")
    after = json.loads(await meshgate(gateway, "usage", "verify", "--json"))

    assert (before["faults"], before["entry_count"] >= 3) == ([], True)
    assert (compared["differences"], compared["counter_count"] >= 1) == ([], True)
    assert rebuilt["raised_count"] == "0"
    assert erased == f"3 entries of {user['id']} are erased\n"
    assert (after["faults"], after["erased_count"] - before["erased_count"]) == ([], 3)
    told = await asked(gateway, ADMIN_KEY, **{"filter.user_id": user["id"]})
    assert told.json()["total"]["requests"] == "0"


async def meshgate(gateway: Gateway, *arguments: str) -> str:
    """What a command prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "meshgate.cli.main", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "MESHGATE_URL": gateway.base_url, "MESHGATE_ADMIN_KEY": ADMIN_KEY},
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()
