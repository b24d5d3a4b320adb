"""One Envoy for all tests of the edge, in front of a server that each test scripts."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest_asyncio
from edge.scripted_routing import OPTIONS, Script, ScriptedRouting, scripted_routing
from envoy_process import START_SECONDS, RunningEnvoy, edge_settings, free_port, running_envoy
from plain_http import TRUSTS_NOBODY

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
    async with httpx.AsyncClient(
        base_url=edge.base_url, timeout=20, verify=TRUSTS_NOBODY
    ) as client:
        yield client


@_session
async def channel(edge: RunningEnvoy) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(edge.grpc_target, options=OPTIONS) as channel:
        yield channel


@pytest_asyncio.fixture(loop_scope="session")
async def script(routing: ScriptedRouting, edge: RunningEnvoy) -> AsyncIterator[Script]:
    """What routing answers.

    While tests run that need no loop, nobody answers Envoy's questions for its health: it is waited for
    until Envoy has found it well again.
    """
    async with asyncio.timeout(START_SECONDS):
        while await edge.stat("cluster.routing.membership_healthy") < len(routing.addresses):
            await asyncio.sleep(0.02)
    yield routing.script
    routing.script.clear()
