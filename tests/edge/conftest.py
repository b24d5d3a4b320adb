"""One Envoy for all tests of the edge, in front of a server that each test scripts."""

from collections.abc import AsyncIterator, Iterator

import grpc
import httpx
import pytest
import pytest_asyncio
from edge.scripted_routing import OPTIONS, Script, ScriptedRouting, scripted_routing
from envoy_process import RunningEnvoy, edge_settings, free_port, running_envoy

from meshgate.edge.rendering import Address

_session = pytest_asyncio.fixture(scope="session", loop_scope="session")


@_session
async def routing() -> AsyncIterator[ScriptedRouting]:
    async with scripted_routing() as server:
        yield server


@_session
async def edge(routing: ScriptedRouting) -> AsyncIterator[RunningEnvoy]:
    async with running_envoy(edge_settings(routing.addresses)) as envoy:
        yield envoy


@_session
async def deserted_edge() -> AsyncIterator[RunningEnvoy]:
    """An Envoy behind which nothing listens."""
    async with running_envoy(edge_settings([Address("127.0.0.1", free_port())])) as envoy:
        yield envoy


@_session
async def rest(edge: RunningEnvoy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=edge.base_url, timeout=20) as client:
        yield client


@_session
async def channel(edge: RunningEnvoy) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(edge.grpc_target, options=OPTIONS) as channel:
        yield channel


@pytest.fixture
def script(routing: ScriptedRouting) -> Iterator[Script]:
    yield routing.script
    routing.script.clear()
