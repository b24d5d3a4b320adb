"""Limits as clients meet them: exact under parallel load, over processes, and after crashes."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import httpx
import openai
import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.administration import Admin
from mesh.books import recorded, total
from mesh.waiting import until
from upstream import Behaviour, Hang, RemoteUpstream
from upstream.behaviours import Cut, Endless, Usage

from meshgate.v1 import gateway_service_pb2 as gateway_pb
from meshgate.v1 import usage_record_pb2
from meshgate.v1.gateway_service_pb2_grpc import GatewayServiceStub

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 60
HOLD_SECONDS = 3
CHAT = "/v1/chat/completions"
WAYS = {"mesh": [], "compact": ["--compact"]}


@pytest.fixture(scope="module", params=WAYS)
def gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream_origin: str,
) -> Iterator[Gateway]:
    """Three processes of routing; what a dead one held comes free after three seconds."""
    directory = tmp_path_factory.mktemp(f"limits-{request.param}")
    options = [*WAYS[request.param], "--workers", "3"]
    variables = {"ROUTING_HOLD_TTL": f"{HOLD_SECONDS}s"}
    with running_gateway(directory, upstream_origin, *options, variables=variables) as gateway:
        yield gateway


async def arrived(upstream: RemoteUpstream) -> bool:
    return bool(await upstream.requests())


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[Admin]:
    async with gateway.client(ADMIN_KEY) as client:
        yield Admin(client)


def concurrency(amount: int) -> dict[str, Any]:
    return {"kind": "LIMIT_KIND_CONCURRENCY", "amount": str(amount)}


def chat(text: str = "hello", **more: object) -> dict[str, object]:
    return {"model": "one-try", "messages": [{"role": "user", "content": text}], **more}


async def statuses(gateway: Gateway, key: str, count: int, **body: object) -> Counter[int]:
    """The statuses of so many requests at once, each on a connection of its own."""

    async def one() -> int:
        async with gateway.client(key) as client:
            return (await client.post(CHAT, json=chat(**body))).status_code

    return Counter(await asyncio.gather(*(one() for _ in range(count))))


async def refused_at(gateway: Gateway, key: str, amount: int) -> bool:
    """Whether a request is refused by a limit of that amount."""
    async with gateway.client(key) as client:
        answer = await client.post(CHAT, json=chat())
    return answer.status_code == 429 and f"limit of {amount} " in answer.json()["error"]["message"]


class TestParallelRequests:
    async def test_exactly_as_many_are_let_in_as_the_limit_allows(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        _, key = await admin.key(total("REQUESTS", 100))

        seen = await statuses(gateway, key, 300)

        assert seen == {200: 100, 429: 200}
        assert len(await upstream.requests()) == 100

    async def test_nothing_is_left_unusable_afterwards(
        self, gateway: Gateway, admin: Admin
    ) -> None:
        key_id, key = await admin.key(total("REQUESTS", 40))
        await statuses(gateway, key, 120)
        await admin.limit(key_id, total("REQUESTS", 55))

        async def raised() -> bool:
            return (await statuses(gateway, key, 1))[200] == 1

        await until(raised, BOUND_SECONDS)
        seen = await statuses(gateway, key, 60)

        assert seen[200] == 14

    async def test_no_more_run_at_once_than_there_are_places(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        _, key = await admin.key(concurrency(10))
        await upstream.script("slowly", Behaviour(head_delay_seconds=1.5))

        seen = await statuses(gateway, key, 60, text="slowly")

        assert seen == {200: 10, 429: 50}

    async def test_places_are_free_again_after_use(self, gateway: Gateway, admin: Admin) -> None:
        _, key = await admin.key(concurrency(1))

        for _ in range(20):
            assert await statuses(gateway, key, 1) == {200: 1}

    async def test_tokens_never_pass_a_strict_limit(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("TOKENS", 3_000))
        usage = Usage(input_tokens=20, output_tokens=100)
        await upstream.script("count me", Behaviour(usage=usage))

        seen = await statuses(gateway, key, 100, text="count me", max_tokens=100)

        answered = await recorded(gateway, key_id, seen[200])
        spent = sum(
            charge.usage.input_tokens + charge.usage.output_tokens
            for record in answered
            for charge in record.charges
        )
        assert 0 < seen[200] < 100
        assert spent <= 3_000


class TestCrashes:
    async def test_a_dead_process_of_routing_gives_its_places_back(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        _, key = await admin.key(concurrency(5))
        await upstream.script("for ever", Behaviour(fault=Hang(at="head")))
        waiting = asyncio.create_task(statuses(gateway, key, 5, text="for ever"))

        async def taken() -> bool:
            return len(await upstream.requests()) == 5

        await until(taken, BOUND_SECONDS)
        for pid in pids(gateway, "routing"):
            os.kill(pid, signal.SIGKILL)
        await asyncio.wait([waiting])

        async def free() -> bool:
            try:
                return await statuses(gateway, key, 5) == {200: 5}
            except httpx.TransportError:
                return False

        await until(free, BOUND_SECONDS)

    @pytest.mark.parametrize("service", ["routing", "quota", "redis"])
    async def test_after_a_crash_no_less_is_booked_than_the_upstream_saw(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream, service: str
    ) -> None:
        key_id, key = await admin.key(total("REQUESTS", 100_000))

        async def load() -> None:
            async with gateway.client(key) as client:
                for _ in range(40):
                    try:
                        await client.post(CHAT, json=chat())
                    except httpx.TransportError:
                        await asyncio.sleep(0.01)

        loads = [asyncio.create_task(load()) for _ in range(8)]

        async def under_way() -> bool:
            return len(await upstream.requests()) > 60

        await until(under_way, BOUND_SECONDS)
        for pid in pids(gateway, service):
            os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*loads)
        await admin.limit(key_id, total("REQUESTS", 0))

        async def refused_by_all() -> bool:
            # So many connections reach every process; some may not know of the change yet.
            return set(await statuses(gateway, key, 30)) == {429}

        await until(refused_by_all, BOUND_SECONDS)
        seen = len(await upstream.requests())
        if service == "redis":
            # It has forgotten the last second; who asked has not, and sends it again.
            assert len(await recorded(gateway, key_id, seen)) == seen

        # All that the upstream saw is booked or held, so that nothing is left of as much.
        await admin.limit(key_id, total("REQUESTS", seen))
        await until(lambda: refused_at(gateway, key, seen), BOUND_SECONDS)
        assert len(await upstream.requests()) == seen


class TestClientsThatLeave:
    async def test_before_the_answer(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("TOKENS", 100_000))
        await upstream.script("leaving", Behaviour(fault=Hang(at="head")))
        async with gateway.client(key) as client:
            asking = asyncio.create_task(client.post(CHAT, json=chat("leaving")))
            await until(lambda: arrived(upstream), BOUND_SECONDS)
            asking.cancel()
            await asyncio.wait([asking])

        (record,) = await recorded(gateway, key_id)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_CANCELLED
        assert record.charges[0].usage.input_tokens > 0

    async def test_in_the_middle_of_a_stream(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("TOKENS", 100_000))
        await upstream.script(
            "leaving", Behaviour(text="one two three four", fault=Hang(at="event", after_events=2))
        )
        async with (
            gateway.client(key) as client,
            client.stream("POST", CHAT, json=chat("leaving", stream=True)) as answer,
        ):
            async for line in answer.aiter_lines():
                if "content" in line:
                    break

        (record,) = await recorded(gateway, key_id)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_CANCELLED
        assert record.charges[0].estimated

    async def test_after_the_stream(self, gateway: Gateway, admin: Admin) -> None:
        key_id, key = await admin.key(total("TOKENS", 100_000))
        async with gateway.client(key) as client:
            await client.post(CHAT, json=chat(stream=True))

        (record,) = await recorded(gateway, key_id)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_ANSWERED
        assert not record.charges[0].estimated

    async def test_an_upstream_that_cuts_its_stream_is_charged_once(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("TOKENS", 100_000))
        await upstream.script("cut", Behaviour(fault=Cut(after_events=2)))
        async with gateway.client(key) as client:
            await client.post(CHAT, json=chat("cut", stream=True))

        (record,) = await recorded(gateway, key_id)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_FAILED
        assert len(record.charges) == 1


class TestStreamsWithoutEnd:
    async def test_one_ends_as_too_long_when_nothing_is_left(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("TOKENS", 600, "NORMAL"))
        await upstream.script("on and on", Behaviour(text="many words ", fault=Endless()))
        sdk = openai.AsyncOpenAI(base_url=f"{gateway.base_url}/v1", api_key=key, max_retries=0)

        async with sdk as client:
            stream = await client.chat.completions.create(
                model="one-try",
                messages=[{"role": "user", "content": "on and on"}],
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = [chunk async for chunk in stream]

        assert chunks[-2].choices[0].finish_reason == "length"
        (record,) = await recorded(gateway, key_id)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_LIMITED
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == record.charges[0].usage.output_tokens


class TestWhatClientsAreTold:
    async def test_the_sdk_raises_a_rate_limit_error_with_the_limit(
        self, gateway: Gateway, admin: Admin
    ) -> None:
        key_id, key = await admin.key(total("REQUESTS", 0))
        client = openai.AsyncOpenAI(base_url=f"{gateway.base_url}/v1", api_key=key, max_retries=0)

        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(
                model="one-try", messages=[{"role": "user", "content": "hi"}]
            )

        assert key_id in str(raised.value)
        headers = raised.value.response.headers
        assert int(headers["retry-after"]) >= 1
        assert headers["x-ratelimit-remaining-requests"] == "0"
        await client.close()

    async def test_grpc_clients_get_the_details(self, gateway: Gateway, admin: Admin) -> None:
        key_id, key = await admin.key(total("REQUESTS", 0))
        async with grpc.aio.insecure_channel(gateway.grpc_target) as channel:
            request = gateway_pb.ChatRequest(
                model="one-try",
                messages=[{"role": "ROLE_USER", "parts": [{"text": "hi"}]}],
            )
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await GatewayServiceStub(channel).Chat(
                    request, metadata=[("authorization", f"Bearer {key}")]
                )

        details = dict(raised.value.trailing_metadata())["grpc-status-details-bin"]
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert b"google.rpc.QuotaFailure" in details
        assert b"google.rpc.RetryInfo" in details
        assert key_id.encode() in details

    async def test_answers_tell_what_is_left(self, gateway: Gateway, admin: Admin) -> None:
        _, key = await admin.key(total("REQUESTS", 50), total("TOKENS", 100_000))
        async with gateway.client(key) as client:
            headers = (await client.post(CHAT, json=chat())).headers

        assert headers["x-ratelimit-limit-requests"] == "50"
        assert headers["x-ratelimit-remaining-requests"] == "49"
        assert headers["x-ratelimit-limit-tokens"] == "100000"


class TestRevokedKeys:
    async def test_every_process_refuses_one(self, gateway: Gateway, admin: Admin) -> None:
        key_id, key = await admin.key()
        assert await statuses(gateway, key, 30) == {200: 30}  # every process knows it now

        await admin.revoke(key_id)

        async def refused() -> bool:
            return await statuses(gateway, key, 30) == {401: 30}

        await until(refused, BOUND_SECONDS)
        assert await statuses(gateway, key, 30) == {401: 30}


def pids(gateway: Gateway, service: str) -> list[int]:
    """The processes that run a service now."""
    ready = json.loads((gateway.directory / "ready.json").read_text())["pids"]
    found = ready.get(service) or ready["compact"]  # compact: each process hosts all
    return [found] if isinstance(found, int) else list(found)
