"""Limits while Redis is slow, full, gone or failing over: a clear refusal, nothing lost, nothing free."""

import asyncio
import os
import secrets
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.waiting import until
from redis.crc import key_slot
from redis_cluster import RedisCluster, running_cluster
from redis_servers import RedisServer, running_server
from upstream import Behaviour, RemoteUpstream

from meshgate.cli.redis_server import find_server
from meshgate.quota.shards import shard_of, tag_of

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 30
CHAT = "/v1/chat/completions"
HOLDS = {"ROUTING_HOLD_TTL": "3s"}
PLENTY = 100_000


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that is brought, so that nobody starts it again but the test."""
    with running_server(find_server(), tmp_path_factory.mktemp("brought")) as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with running_cluster(tmp_path_factory.mktemp("brought-cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream_origin: str, valkey: RedisServer
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("limit-faults")
    variables = HOLDS | {"REDIS_URL": valkey.url}
    with running_gateway(directory, upstream_origin, variables=variables) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def clustered(
    tmp_path_factory: pytest.TempPathFactory, upstream_origin: str, cluster: RedisCluster
) -> Iterator[Gateway]:
    """A gateway that counts in a cluster, and acknowledges what two disks have."""
    directory = tmp_path_factory.mktemp("limits-in-a-cluster")
    variables = HOLDS | {"REDIS_URL": cluster.url, "QUOTA_SETTLED_REPLICAS": "1"}
    with running_gateway(directory, upstream_origin, "--compact", variables=variables) as gateway:
        yield gateway


def chat(text: str = "hello") -> dict[str, object]:
    return {"model": "one-try", "messages": [{"role": "user", "content": text}]}


class LimitedKey:
    """A key with a limit of so many requests for ever, and those who use it."""

    def __init__(self, gateway: Gateway, key_id: str, secret: str) -> None:
        self._gateway = gateway
        self._id = key_id
        self._secret = secret

    @classmethod
    async def make(cls, gateway: Gateway, amount: int = PLENTY) -> "LimitedKey":
        body = {"name": secrets.token_hex(6), "limits": [_limit(amount)]}
        async with gateway.client(ADMIN_KEY) as admin:
            made = (await admin.post("/admin/v1/keys", json=body)).json()
        return cls(gateway, made["key"]["id"], made["secret"])

    async def ask(self, text: str = "hello") -> httpx.Response:
        """One request, on a connection of its own."""
        async with self._gateway.client(self._secret) as client:
            return await client.post(CHAT, json=chat(text))

    async def ask_together(self, count: int) -> list[httpx.Response]:
        return await asyncio.gather(*(self.ask() for _ in range(count)))

    async def ask_until_refused(self) -> list[httpx.Response]:
        """All answers, the last ones at the same time; what was lent before lets some in at first."""
        answers: list[httpx.Response] = []

        async def is_refused() -> bool:
            latest = await self.ask_together(20)
            answers.extend(latest)
            return any(answer.status_code != 200 for answer in latest)

        await until(is_refused)
        return answers

    async def is_served(self) -> bool:
        return (await self.ask()).status_code == 200

    async def limit(self, amount: int) -> None:
        """Change the limit, and wait until it is in force."""
        path = f"/admin/v1/keys/{self._id}?update_mask=limits"
        async with self._gateway.client(ADMIN_KEY) as admin:
            answer = await admin.patch(path, json={"limits": [_limit(amount)]})
        assert answer.status_code == 200, answer.text
        if amount == 0:
            await until(lambda: self.is_refused_at(0))

    async def is_refused_at(self, amount: int) -> bool:
        answer = await self.ask()
        return answer.status_code == 429 and f"limit of {amount} " in answer.text

    async def check_that_exactly_as_much_was_spent(self, upstream: RemoteUpstream) -> None:
        """As the upstream saw: with a limit of three more, three more are let in."""
        await self.limit(0)
        most = len(await upstream.requests()) + 3
        await self.limit(most)

        async def all_let_in() -> bool:
            await self.ask()
            return len(await upstream.requests()) == most

        await until(all_let_in)
        assert Counter(answer.status_code for answer in await self.ask_together(5)) == {429: 5}


def _limit(amount: int) -> dict[str, Any]:
    return {
        "kind": "LIMIT_KIND_REQUESTS",
        "amount": str(amount),
        "unit": "WINDOW_UNIT_TOTAL",
        "enforcement": "ENFORCEMENT_STRICT",
    }


def check_refusals(answers: list[httpx.Response]) -> None:
    """All that were not let in were refused clearly."""
    for answer in answers:
        if answer.status_code == 200:
            continue
        assert answer.status_code == 503, answer.text
        assert answer.json()["error"]["message"] == "the quota service does not answer"
        assert answer.json()["error"]["code"] == "service_unavailable"
        assert int(answer.headers["retry-after"]) >= 1


@pytest.fixture
async def key(gateway: Gateway) -> LimitedKey:
    return await LimitedKey.make(gateway)


class TestOneServer:
    async def test_one_that_is_slow(
        self, key: LimitedKey, valkey: RedisServer, upstream: RemoteUpstream
    ) -> None:
        await key.ask_together(10)

        with valkey.frozen():
            check_refusals(await key.ask_until_refused())

        await until(key.is_served)
        await key.check_that_exactly_as_much_was_spent(upstream)

    async def test_one_that_is_full(
        self, key: LimitedKey, valkey: RedisServer, upstream: RemoteUpstream
    ) -> None:
        await upstream.script("slowly", Behaviour(head_delay_seconds=1.0))
        under_way = asyncio.create_task(key.ask("slowly"))

        async def has_begun() -> bool:
            return bool(await upstream.requests())

        await until(has_begun)

        with valkey.full():
            answered = await under_way
            check_refusals(await key.ask_until_refused())

        assert answered.status_code == 200
        await until(key.is_served)
        await key.check_that_exactly_as_much_was_spent(upstream)

    async def test_one_that_is_gone_for_a_while(
        self, key: LimitedKey, valkey: RedisServer, upstream: RemoteUpstream
    ) -> None:
        await key.ask_together(10)

        valkey.kill()
        check_refusals(await key.ask_until_refused())
        valkey.restart()

        await until(key.is_served)
        await key.check_that_exactly_as_much_was_spent(upstream)

    async def test_what_has_no_limits_goes_on_without_it(
        self, gateway: Gateway, valkey: RedisServer
    ) -> None:
        with valkey.frozen():
            async with gateway.client() as client:
                answer = await client.post(CHAT, json=chat())

        assert answer.status_code == 200


async def test_a_quota_that_hangs(
    gateway: Gateway, key: LimitedKey, upstream: RemoteUpstream
) -> None:
    await key.ask_together(10)
    [quota] = gateway.ready["pids"]["quota"]

    os.kill(quota, signal.SIGSTOP)
    try:
        check_refusals(await key.ask_until_refused())
    finally:
        os.kill(quota, signal.SIGCONT)

    await until(key.is_served)
    await key.check_that_exactly_as_much_was_spent(upstream)


class TestCluster:
    async def test_a_failover_under_load_gives_nothing_away(
        self, clustered: Gateway, cluster: RedisCluster, upstream: RemoteUpstream
    ) -> None:
        key = await LimitedKey.make(clustered)
        slot = key_slot(tag_of(shard_of("default")).encode())
        over = asyncio.Event()
        statuses: Counter[int] = Counter()

        async def load() -> None:
            while not over.is_set():
                statuses[(await key.ask()).status_code] += 1

        async with asyncio.TaskGroup() as loads:
            for _ in range(8):
                loads.create_task(load())
            await until(lambda: asyncio.sleep(0, statuses[200] >= 50))
            dead = cluster.kill_primary(slot)
            await asyncio.to_thread(cluster.await_failover, slot)
            before = statuses[200]
            await until(lambda: asyncio.sleep(0, statuses[200] >= before + 50))
            over.set()
        cluster.restart(dead)
        await asyncio.to_thread(cluster.await_whole)

        assert set(statuses) <= {200, 503}
        await key.check_that_exactly_as_much_was_spent(upstream)
