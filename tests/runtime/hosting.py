"""Hosts scripted services the way a process of the mesh does."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from runtime.binding import BOUND_SECONDS
from runtime.scripted import ScriptedProvider

from meshgate.runtime.environment import Environment
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.peers import Peers
from meshgate.runtime.server import Assemble, Running, running
from meshgate.runtime.service import Service
from meshgate.runtime.settings import ServerSettings, Stack

OPEN_MESH = MeshIdentity(None)


def settings(stack: Stack, **changes: Any) -> ServerSettings:
    values: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "metrics_listen": None,
        "identity": OPEN_MESH,
        "drain_notice_seconds": 0.0,
        "drain_grace_seconds": 600.0,  # a test that waits for it fails
    }
    return ServerSettings(stack=stack, **(values | changes))


def assembling(
    provider: ScriptedProvider, tasks: Mapping[str, Callable[[], Awaitable[None]]] | None = None
) -> Assemble:
    """An assembly of the provider, for `running()`."""

    @asynccontextmanager
    async def assemble(_env: Environment, _peers: Peers) -> AsyncIterator[Service]:
        yield Service("provider", (provider.implementation(),), tasks or {})

    return assemble


class Host:
    """A block of `running()` in a task of its own, so that a test can watch it end."""

    def __init__(
        self,
        assemblies: Mapping[str, Assemble],
        how: ServerSettings,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._block = running(assemblies, Environment(variables or {}), how)
        self._stop = asyncio.Event()
        self._started: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._block as serving:
            self._started.set_result(serving)
            await self._stop.wait()

    async def started(self) -> int:
        """The port, once it serves."""
        await asyncio.wait([self._started, self.task], return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            await self.task
        return self._started.result().port

    def stop(self) -> None:
        self._stop.set()

    async def ended(self) -> None:
        self.stop()
        async with asyncio.timeout(BOUND_SECONDS):
            await self.task


@asynccontextmanager
async def plain_channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    """A channel as anyone's client has it."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel


async def health_of(channel: grpc.aio.Channel) -> Any:
    stub: Any = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=BOUND_SECONDS)
    return answer.status


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
