"""What a fault costs under load: refusals while it lasts, no usage, and no limit.

`pytest -s tests/mesh/test_faults_under_load.py` prints the figures.
"""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import grpc
import httpx
import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.administration import Admin
from mesh.books import recorded, total
from mesh.waiting import until
from upstream import Behaviour, Hang, RemoteUpstream

from meshgate.v1 import chat_pb2, usage_record_pb2
from meshgate.v1 import gateway_service_pb2 as gateway_pb
from meshgate.v1.gateway_service_pb2_grpc import GatewayServiceStub

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(180)]

BOUND_SECONDS = 90
CLIENTS = 8
ALLOWED = 400
CHAT = "/v1/chat/completions"
VICTIMS = ("routing", "provider", "quota", "auth", "cache", "guardrails", "redis", "envoy")
STREAMS = 2_000
CHANNELS = 4


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream_origin: str) -> Iterator[Gateway]:
    """Two processes of routing and of provider; what a dead one held comes free in three seconds."""
    directory = tmp_path_factory.mktemp("load")
    variables = {"ROUTING_HOLD_TTL": "3s"}
    with running_gateway(
        directory, upstream_origin, "--workers", "2", variables=variables
    ) as gateway:
        yield gateway


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[Admin]:
    async with gateway.client(ADMIN_KEY) as client:
        yield Admin(client)


def chat(text: str = "hello") -> dict[str, object]:
    return {"model": "one-try", "messages": [{"role": "user", "content": text}]}


class Load:
    """Clients that ask again and again until their limit is reached."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self._gateway = gateway
        self._key = key
        self.statuses: Counter[int] = Counter()
        self.good_at: list[float] = []
        self.bad_at: list[float] = []

    async def run(self) -> None:
        async with asyncio.timeout(BOUND_SECONDS), asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(self._client())

    async def _client(self) -> None:
        refused = 0
        async with self._gateway.client(self._key) as client:
            while refused < 3:
                status = await self._status(client)
                self.statuses[status] += 1
                refused = refused + 1 if status == 429 else 0
                if status == 200:
                    self.good_at.append(time.monotonic())
                elif status != 429:
                    self.bad_at.append(time.monotonic())
                    await asyncio.sleep(0.25)  # what failed counts as a request, too

    async def _status(self, client: httpx.AsyncClient) -> int:
        """The status of one request; 0 where the connection broke."""
        try:
            answer = await client.post(CHAT, json=chat())
        except httpx.TransportError:
            return 0
        if answer.status_code not in {200, 0}:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        return answer.status_code

    @property
    def failed(self) -> int:
        return len(self.bad_at)

    def recovered_after(self, moment: float) -> float:
        """The seconds from a moment to the first good answer after the last bad one."""
        last_bad = max(self.bad_at, default=moment)
        return min((at for at in self.good_at if at > last_bad), default=moment) - moment


def processes(gateway: Gateway, name: str) -> list[int]:
    """What the ready file says now: it is written anew when something was started again."""
    pids = json.loads((gateway.directory / "ready.json").read_text())["pids"][name]
    return pids if isinstance(pids, list) else [pids]


async def refused_at(gateway: Gateway, key: str, amount: int) -> bool:
    async with gateway.client(key) as client:
        answer = await client.post(CHAT, json=chat())
    return answer.status_code == 429 and f"limit of {amount} " in answer.json()["error"]["message"]


@pytest.mark.parametrize("victim", VICTIMS)
async def test_a_kill_costs_a_few_refusals_no_usage_and_no_limit(
    gateway: Gateway, admin: Admin, upstream: RemoteUpstream, victim: str
) -> None:
    key_id, key = await admin.key(total("REQUESTS", ALLOWED))
    load = Load(gateway, key)
    loading = asyncio.create_task(load.run())

    async def under_way() -> bool:
        return load.statuses[200] > ALLOWED // 4

    await until(under_way, BOUND_SECONDS)
    for pid in processes(gateway, victim):
        os.kill(pid, signal.SIGKILL)
    killed_at = time.monotonic()
    await loading

    seen = len(await upstream.requests())
    print(  # noqa: T201 - the figures, with -s
        f"\n{victim}: {load.failed} failed of {sum(load.statuses.values())} requests, recovered "
        f"after {load.recovered_after(killed_at):.2f} s, {seen} of {ALLOWED} came through"
    )
    assert set(load.statuses) <= {200, 429, 500, 502, 503, 0}
    assert load.statuses[200] <= seen <= ALLOWED
    assert any(at > killed_at for at in load.good_at)
    # All that the upstream saw is booked or held, so that nothing is left of as much.
    await admin.limit(key_id, total("REQUESTS", seen))
    await until(lambda: refused_at(gateway, key, seen), BOUND_SECONDS)
    assert len(await upstream.requests()) == seen


async def test_two_thousand_open_streams_leave_room_for_others_and_are_all_settled(
    gateway: Gateway, admin: Admin, upstream: RemoteUpstream
) -> None:
    await upstream.script("stay open", Behaviour(fault=Hang(at="event", after_events=2)))
    key_id, key = await admin.key(total("TOKENS", 1_000_000_000, "NORMAL"))
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text="stay open")])
    question = gateway_pb.ChatRequest(model="one-try", messages=[message])
    request = gateway_pb.StreamChatRequest(chat=question)
    metadata = (("authorization", f"Bearer {key}"),)

    channels = [
        grpc.aio.insecure_channel(gateway.grpc_target, [("grpc.use_local_subchannel_pool", 1)])
        for _ in range(CHANNELS)
    ]
    try:
        stubs = [GatewayServiceStub(channel) for channel in channels]
        calls = [
            stubs[number % CHANNELS].StreamChat(request, metadata=metadata, timeout=BOUND_SECONDS)
            for number in range(STREAMS)
        ]
        opened = await asyncio.gather(*(call.read() for call in calls))
        async with gateway.client() as client:
            meanwhile = (await client.post(CHAT, json=chat())).status_code
        for call in calls:
            call.cancel()
    finally:
        for channel in channels:
            await channel.close()

    assert all(response.event.HasField("started") for response in opened)
    assert meanwhile == 200
    records = await recorded(gateway, key_id, STREAMS)
    assert len(records) == STREAMS
    assert {record.outcome for record in records} == {usage_record_pb2.REQUEST_OUTCOME_CANCELLED}
