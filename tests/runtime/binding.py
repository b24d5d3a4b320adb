"""Binds a scripted provider in every way there is, and asks it things."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from runtime.scripted import ScriptedProvider

from meshgate.runtime.channel import RemoteChannel
from meshgate.runtime.health import Health
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.server import make_server
from meshgate.v1 import provider_service_pb2 as pb

BOUND_SECONDS = 20
IDENTITY = MeshIdentity("the token of the mesh")


@asynccontextmanager
async def bound(binding: str, provider: ScriptedProvider) -> AsyncIterator[Any]:
    """A channel to the provider."""
    health = Health()
    health.serve()
    methods = intercepted(provider.implementation(internal=True), IDENTITY)
    if binding == "in-process":
        yield InProcessChannel(methods, IDENTITY.metadata())
        return
    server = make_server(binding, [*methods, *intercepted(health.implementation(), IDENTITY)])
    port = await server.start("127.0.0.1:0")
    channel = RemoteChannel("provider", [f"127.0.0.1:{port}"], IDENTITY.metadata())
    await channel.resolve()
    await until(lambda: channel.serving_count == 1)
    try:
        yield channel
    finally:
        await channel.close()
        await server.stop(0)


async def until(condition: Any) -> None:
    """Wait for something that will come true by itself."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def asking(model: str, body: bytes = b"") -> Any:
    return pb.ExecuteRequest(target=pb.Target(model=model), body=body)


def streaming(model: str, body: bytes = b"") -> Any:
    return pb.StreamExecuteRequest(target=pb.Target(model=model), body=body)


async def read(call: Any, into: list[bytes]) -> None:
    """Read a stream of chunks to its end; `into` holds what came, also where it fails."""
    async for response in call:
        into.append(response.chunk)  # noqa: PERF401 - what came before a failure counts


async def settled(measure: Any) -> int:
    """The value once it no longer moves."""
    before = -1
    while (now := measure()) != before:
        before = now
        for _ in range(40):
            await asyncio.sleep(0.005)
    return int(now)
