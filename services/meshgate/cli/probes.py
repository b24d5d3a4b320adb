"""How to tell that a process of the mesh serves."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import httpx
import redis.asyncio as redis
from grpc_health.v1 import health_pb2, health_pb2_grpc

_INTERVAL_SECONDS = 0.05
_CALL_SECONDS = 1.0
_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)


class HealthProbe:
    """Passed when the health service at an address says SERVING."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.obstacle = ""

    async def passed(self) -> None:
        async with grpc.aio.insecure_channel(self._address, options=_CHANNEL_OPTIONS) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            await _until(lambda: self._serves(stub))

    async def _serves(self, stub: health_pb2_grpc.HealthStub) -> bool:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            self.obstacle = f"its health check fails with {error.code().name}"
            return False
        self.obstacle = "its health is NOT_SERVING"
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class PageProbe:
    """Passed when a page answers with 200."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.obstacle = ""

    async def passed(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=_CALL_SECONDS) as client:
            await _until(lambda: self._answers(client))

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            answer = await client.get(self._url)
        except httpx.HTTPError as error:
            self.obstacle = f"{self._url} does not answer: {error}"
            return False
        self.obstacle = f"{self._url} answers {answer.status_code}: {answer.text[:200]}"
        return answer.status_code == httpx.codes.OK


class RedisProbe:
    """Passed when the server at a URL lets us in, and has read all its data."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.obstacle = ""

    async def passed(self) -> None:
        async with redis.from_url(
            self._url,
            retry=None,
            socket_connect_timeout=_CALL_SECONDS,
            socket_timeout=_CALL_SECONDS,
        ) as client:
            await _until(lambda: self._answers(client))

    async def _answers(self, client: redis.Redis) -> bool:
        try:
            return bool(await client.ping())
        except redis.RedisError as error:
            self.obstacle = f"it does not answer: {error}"
            return False


async def _until(look: Callable[[], Awaitable[bool]]) -> None:
    while not await look():  # noqa: ASYNC110 - another process gives no event to wait for
        await asyncio.sleep(_INTERVAL_SECONDS)
