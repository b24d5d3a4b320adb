"""End to end against a mesh that runs in containers: `make compose-check`.

Asks the gateway at MESHGATE_URL with the admin key in MESHGATE_ADMIN_KEY; every key that it makes is
revoked again.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest

from meshgate.v1 import chat_pb2, gateway_service_pb2, gateway_service_pb2_grpc

pytestmark = pytest.mark.compose

URL = os.environ.get("MESHGATE_URL", "")
ADMIN_KEY = os.environ.get("MESHGATE_ADMIN_KEY", "")
CHAT = "/v1/chat/completions"
BOUND_SECONDS = 60.0

if not (URL and ADMIN_KEY):
    pytest.skip("MESHGATE_URL and MESHGATE_ADMIN_KEY name no mesh", allow_module_level=True)


def client(key: str = ADMIN_KEY) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=URL, headers=headers, timeout=30.0, trust_env=False)


def question(**more: object) -> dict[str, object]:
    return {"model": "demo", "messages": [{"role": "user", "content": "hello"}], **more}


async def until(condition: Any) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not await condition():
            await asyncio.sleep(0.1)


@pytest.fixture
async def admin() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as admin:
        yield admin


@pytest.fixture
async def make_key(admin: httpx.AsyncClient) -> AsyncIterator[Any]:
    """Makes keys, with the limits that are named; revokes them at the end."""
    made = []

    async def make(**fields: object) -> dict[str, Any]:
        answer = await admin.post(
            "/admin/v1/keys", json={"name": f"compose-{time.time_ns()}", **fields}
        )
        assert answer.status_code == 200, answer.text
        made.append(answer.json()["key"]["id"])
        return answer.json()

    yield make
    for key_id in made:
        await admin.post(f"/admin/v1/keys/{key_id}:revoke", json={})


async def test_every_service_is_ready(admin: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        return (await admin.get("/readyz")).status_code == 200

    await until(ready)

    status = (await admin.get("/meshgate/v1/status")).json()
    assert {service["health"] for service in status["services"]} == {"SERVICE_HEALTH_SERVING"}


async def test_a_key_of_the_database_gets_an_answer_and_a_stream(make_key: Any) -> None:
    key = await make_key()

    async with client(key["secret"]) as caller:
        plain = await caller.post(CHAT, json=question())
        stream = await caller.post(CHAT, json=question(stream=True))

    assert plain.json()["choices"][0]["message"]["content"]
    lines = [line for line in stream.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[0].removeprefix("data: "))["object"] == "chat.completion.chunk"


async def test_a_limit_holds_over_all_instances(make_key: Any) -> None:
    limit = {"kind": "LIMIT_KIND_REQUESTS", "amount": "5", "unit": "WINDOW_UNIT_DAY"}
    key = await make_key(limits=[limit])

    async with client(key["secret"]) as caller:
        answers = await asyncio.gather(*(caller.post(CHAT, json=question()) for _ in range(20)))

    assert Counter(answer.status_code for answer in answers) == {200: 5, 429: 15}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


async def test_a_revoked_key_dies_everywhere(make_key: Any, admin: httpx.AsyncClient) -> None:
    key = await make_key()

    await admin.post(f"/admin/v1/keys/{key['key']['id']}:revoke", json={})

    async with client(key["secret"]) as caller:

        async def refused() -> bool:
            answers = [await caller.post(CHAT, json=question()) for _ in range(6)]
            return {answer.status_code for answer in answers} == {401}

        await until(refused)


async def test_grpc_is_served_on_the_same_port() -> None:
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text="hello")])
    chat = gateway_service_pb2.ChatRequest(model="demo", messages=[message])

    async with grpc.aio.insecure_channel(httpx.URL(URL).netloc.decode()) as channel:
        stub = gateway_service_pb2_grpc.GatewayServiceStub(channel)
        metadata = (("authorization", f"Bearer {ADMIN_KEY}"),)
        answer = await stub.Chat(chat, metadata=metadata, timeout=30)

    assert answer.message.parts[0].text


async def test_services_behind_the_door_are_not_to_be_reached() -> None:
    async with grpc.aio.insecure_channel(httpx.URL(URL).netloc.decode()) as channel:
        call = channel.unary_unary("/meshgate.v1.QuotaService/BatchHold")

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", timeout=30)

    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
