"""Hosting services, on both stacks: start, drain and end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from runtime.binding import BOUND_SECONDS, asking, read, streaming, until
from runtime.hosting import Host, assembling, free_port, health_of, plain_channel, settings
from runtime.scripted import ScriptedProvider

from meshgate.runtime.channel import RemoteChannel
from meshgate.runtime.environment import Environment
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.peers import Peers
from meshgate.runtime.server import running
from meshgate.runtime.service import Service
from meshgate.runtime.settings import Stack
from meshgate.v1 import provider_service_pb2_grpc as rpc

# grpc.aio cancels what comes while it stops; `error_of_call` makes both the same error.
REFUSALS = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(params=["grpc", "native"])
def stack(request: pytest.FixtureRequest) -> Stack:
    return request.param


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


async def calling(channel: grpc.aio.Channel, model: str, seconds: float = BOUND_SECONDS) -> Any:
    return await rpc.ProviderServiceStub(channel).Execute(asking(model), timeout=seconds)


async def test_nothing_is_served_before_all_is_assembled(
    stack: Stack, provider: ScriptedProvider
) -> None:
    assembling_second, go_on = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def slow(_env: Environment, _peers: Peers) -> AsyncIterator[Service]:
        assembling_second.set()
        await go_on.wait()
        yield Service("slow", ())

    port = free_port()
    host = Host(
        {"provider": assembling(provider), "slow": slow},
        settings(stack, listen=f"127.0.0.1:{port}"),
    )

    await assembling_second.wait()
    async with plain_channel(port) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await health_of(channel)
    go_on.set()
    await host.started()
    async with plain_channel(port) as channel:
        assert await health_of(channel) == SERVING
    await host.ended()


async def test_calls_are_still_taken_while_the_notice_lasts(
    stack: Stack, provider: ScriptedProvider
) -> None:
    host = Host({"provider": assembling(provider)}, settings(stack, drain_notice_seconds=2))
    async with plain_channel(await host.started()) as channel:
        assert await health_of(channel) == SERVING
        host.stop()
        while await health_of(channel) == SERVING:
            pass

        await calling(channel, "echo")

        await host.ended()


async def test_a_stream_in_flight_is_read_to_its_end_while_new_calls_are_refused(
    stack: Stack, provider: ScriptedProvider
) -> None:
    host = Host({"provider": assembling(provider)}, settings(stack))
    async with plain_channel(await host.started()) as channel:
        chunks: list[bytes] = []
        call = rpc.ProviderServiceStub(channel).StreamExecute(streaming("patient"))
        reading = asyncio.create_task(read(call, chunks))
        plain = asyncio.create_task(calling(channel, "patient"))
        await until(lambda: chunks and len(provider.seen) == 2)

        host.stop()
        refused = None
        while refused is None:
            try:
                await calling(channel, "echo", seconds=1)
            except grpc.aio.AioRpcError as error:
                # grpc.aio leaves a call without answer that comes in the moment it stops.
                lost = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
                refused = None if lost and stack == "grpc" else error.code()
        provider.go_on.set()
        await asyncio.gather(reading, plain)

        assert refused in REFUSALS
        assert chunks == [b"one", b"two"]
        await host.ended()


async def test_a_call_that_outlives_the_grace_is_cut_off(
    stack: Stack, provider: ScriptedProvider
) -> None:
    host = Host({"provider": assembling(provider)}, settings(stack, drain_grace_seconds=0.05))
    async with plain_channel(await host.started()) as channel:
        call = asyncio.create_task(calling(channel, "hang"))
        await until(lambda: provider.seen)

        await host.ended()

        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() in REFUSALS
        await until(provider.cancelled.is_set)


async def test_peers_that_watch_the_health_do_not_hold_the_drain_up(
    stack: Stack, provider: ScriptedProvider
) -> None:
    host = Host({"provider": assembling(provider)}, settings(stack))
    channel = RemoteChannel("provider", [f"127.0.0.1:{await host.started()}"], ())
    await channel.resolve()
    await until(lambda: channel.serving_count == 1)

    await host.ended()

    await until(lambda: channel.serving_count == 0)
    await channel.close()


async def test_an_error_inside_the_block_comes_out_as_it_is(
    stack: Stack, provider: ScriptedProvider
) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with running({"provider": assembling(provider)}, Environment({}), settings(stack)):
            raise LookupError("mine")


async def test_the_tasks_of_a_service_end_with_the_block(
    stack: Stack, provider: ScriptedProvider
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def watch() -> None:
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    host = Host({"provider": assembling(provider, {"watch": watch})}, settings(stack))
    await host.started()
    await began.wait()
    await host.ended()

    assert ended.is_set()


async def test_a_task_of_a_service_that_fails_ends_the_block_with_its_error(
    stack: Stack, provider: ScriptedProvider
) -> None:
    fail = asyncio.Event()

    async def watch() -> None:
        await fail.wait()
        raise LookupError("the watch broke")

    host = Host({"provider": assembling(provider, {"watch": watch})}, settings(stack))
    await host.started()

    fail.set()
    await asyncio.wait([host.task], timeout=BOUND_SECONDS)

    with pytest.raises(LookupError, match="the watch broke"):
        await host.task


async def test_a_task_that_fails_during_the_drain_still_closes_the_door(
    stack: Stack, provider: ScriptedProvider
) -> None:
    fail = asyncio.Event()

    async def watch() -> None:
        await fail.wait()
        raise LookupError("the watch broke")

    host = Host(
        {"provider": assembling(provider, {"watch": watch})},
        settings(stack, drain_notice_seconds=600),
    )
    async with plain_channel(await host.started()) as channel:
        assert await health_of(channel) == SERVING
        host.stop()
        while await health_of(channel) == SERVING:
            pass

        fail.set()
        await asyncio.wait([host.task], timeout=BOUND_SECONDS)

        with pytest.raises(LookupError):
            await host.task
        with pytest.raises(grpc.aio.AioRpcError):
            await health_of(channel)


async def test_an_address_in_use_is_one_clear_error(
    stack: Stack, provider: ScriptedProvider
) -> None:
    host = Host({"provider": assembling(provider)}, settings(stack))
    address = f"127.0.0.1:{await host.started()}"

    with pytest.raises(OSError, match=address):
        async with running(
            {"provider": assembling(provider)}, Environment({}), settings(stack, listen=address)
        ):
            pass

    await host.ended()


async def test_reflection_lists_the_services(stack: Stack, provider: ScriptedProvider) -> None:
    host = Host({"provider": assembling(provider)}, settings(stack))
    async with plain_channel(await host.started()) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = stub.ServerReflectionInfo(iter([request]), timeout=BOUND_SECONDS)
        [answer] = [answer async for answer in call]

    names = {service.name for service in answer.list_services_response.service}
    assert names == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "meshgate.v1.InstanceService",
        "meshgate.v1.ProviderService",
    }
    await host.ended()


@pytest.mark.parametrize(
    ("hosted", "expected"),
    [(True, InProcessChannel), (False, RemoteChannel)],
    ids=["together", "apart"],
)
async def test_a_service_reaches_its_peer_wherever_it_is(
    stack: Stack, provider: ScriptedProvider, hosted: bool, expected: type
) -> None:
    apart = Host({"provider": assembling(provider)}, settings(stack))
    variables = {"MESHGATE_PEER_PROVIDER": f"127.0.0.1:{await apart.started()}"}
    channels = []

    @asynccontextmanager
    async def caller(_env: Environment, peers: Peers) -> AsyncIterator[Service]:
        channels.append(await peers.connect("provider"))
        yield Service("caller", ())

    assemblies = {"provider": assembling(provider)} if hosted else {}
    host = Host({**assemblies, "caller": caller}, settings(stack), variables)
    await host.started()
    [channel] = channels
    await until(lambda: channel.serving_count == 1)

    answer = await rpc.ProviderServiceStub(channel).Execute(asking("echo", b"hello"))

    assert answer.answer.body == b"hello"
    assert type(channel) is expected
    await host.ended()
    await apart.ended()


async def test_a_failed_assembly_gives_back_what_was_assembled_before(
    stack: Stack,
) -> None:
    given_back = asyncio.Event()

    @asynccontextmanager
    async def first(_env: Environment, _peers: Peers) -> AsyncIterator[Service]:
        try:
            yield Service("first", ())
        finally:
            given_back.set()

    @asynccontextmanager
    async def broken(_env: Environment, _peers: Peers) -> AsyncIterator[Service]:
        raise LookupError("no database")
        yield

    with pytest.raises(LookupError, match="no database"):
        async with running({"first": first, "broken": broken}, Environment({}), settings(stack)):
            pass

    assert given_back.is_set()
