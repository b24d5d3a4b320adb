"""How to tell that a process of the mesh serves."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meshgate.cli import local_http

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
    """Passed when a page answers with 200.

    Args:
        authority: Whose page it is, as `host:port`.
        path: Which page.
    """

    def __init__(self, authority: str, path: str) -> None:
        self._authority = authority
        self._path = path
        self.obstacle = ""

    async def passed(self) -> None:
        await _until(self._answers)

    async def _answers(self) -> bool:
        page = f"http://{self._authority}{self._path}"
        try:
            answer = await local_http.get(self._authority, self._path, _CALL_SECONDS)
        except local_http.ERRORS as error:
            self.obstacle = f"{page} does not answer: {error}"
            return False
        self.obstacle = f"{page} answers {answer.status}: {answer.text[:200]}"
        return answer.status == HTTPStatus.OK


class RedisProbe:
    """Passed when the server at a port of this machine lets us in, and has read all its data.

    Two commands of its protocol, for which the supervisor need not load a client.
    """

    def __init__(self, host: str, port: int, password: str) -> None:
        self._host = host
        self._port = port
        self._password = password
        self.obstacle = ""

    async def passed(self) -> None:
        await _until(self._answers)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                answers = await self._answers_to(f"AUTH {self._password}", "PING")
        except OSError as error:
            self.obstacle = f"it does not answer: {error}"
            return False
        self.obstacle = f"it does not answer: {' '.join(answers)}"
        return answers == ["+OK", "+PONG"]

    async def _answers_to(self, *commands: str) -> list[str]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.writelines(f"{command}\r\n".encode() for command in commands)
            lines = [await reader.readline() for _ in commands]
            return [line.decode(errors="replace").strip() for line in lines]
        finally:
            writer.close()


async def _until(look: Callable[[], Awaitable[bool]]) -> None:
    while not await look():  # noqa: ASYNC110 - another process gives no event to wait for
        await asyncio.sleep(_INTERVAL_SECONDS)
