"""The channel to all instances of a peer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import grpc
import pytest
from runtime.binding import BOUND_SECONDS, IDENTITY, asking, read, streaming, until
from runtime.scripted import ScriptedProvider

from meshgate.runtime.channel import Address, RemoteChannel
from meshgate.runtime.health import Health
from meshgate.runtime.interception import intercepted
from meshgate.runtime.server import Server, make_server
from meshgate.v1 import provider_service_pb2_grpc as rpc


class Replica:
    """One instance of the provider."""

    def __init__(self) -> None:
        self.provider = ScriptedProvider()
        self.health = Health()
        self.health.serve()
        self.port = 0
        self._server: Server | None = None

    async def start(self, host: str = "127.0.0.1") -> None:
        methods = (
            *intercepted(self.provider.implementation(), IDENTITY),
            *intercepted(self.health.implementation(), IDENTITY),
        )
        self._server = make_server("native", methods)
        self.port = await self._server.start(f"{host}:{self.port}")

    async def kill(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.port)

    @property
    def calls(self) -> int:
        return len(self.provider.seen)


class NameServer:
    """Says what a name stands for, until it goes away."""

    def __init__(self, *addresses: Address) -> None:
        self.addresses = set(addresses)
        self.error: Exception | None = None

    async def lookup(self, _host: str, _port: int) -> set[Address]:
        if self.error is not None:
            raise self.error
        return set(self.addresses)


Start = Callable[[], Awaitable[Replica]]
Open = Callable[..., Awaitable[RemoteChannel]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a replica; all are killed at the end."""
    async with AsyncExitStack() as stack:

        async def start() -> Replica:
            replica = Replica()
            await replica.start()
            stack.push_async_callback(replica.kill)
            return replica

        yield start


@pytest.fixture
async def connect(start: Start) -> AsyncIterator[Open]:
    """Opens a channel to what a name server says; all are closed before the replicas."""
    async with AsyncExitStack() as stack:

        async def connect(names: NameServer) -> RemoteChannel:
            channel = RemoteChannel("provider", ["provider:9000"], (), lookup=names.lookup)
            stack.push_async_callback(channel.close)
            await channel.resolve()
            await until(lambda: channel.serving_count == len(names.addresses))
            return channel

        yield connect


def stub_of(channel: RemoteChannel) -> Any:
    return rpc.ProviderServiceStub(channel)


def waiting_on(channel: RemoteChannel) -> asyncio.Task[Any]:
    """A call in flight, until its provider may go on."""

    async def call() -> Any:
        return await stub_of(channel).Execute(asking("patient"), timeout=BOUND_SECONDS)

    return asyncio.create_task(call())


async def test_equals_take_turns(start: Start, connect: Open) -> None:
    replicas = [await start() for _ in range(3)]
    channel = await connect(NameServer(*(replica.address for replica in replicas)))

    for _ in range(9):
        await stub_of(channel).Execute(asking("echo"))

    assert [replica.calls for replica in replicas] == [3, 3, 3]


async def test_a_call_goes_where_the_fewest_are_in_flight(start: Start, connect: Open) -> None:
    replicas = [await start() for _ in range(2)]
    channel = await connect(NameServer(*(replica.address for replica in replicas)))
    busy = waiting_on(channel)
    await until(lambda: sum(replica.calls for replica in replicas) == 1)
    [taken, free] = sorted(replicas, key=lambda replica: -replica.calls)

    for _ in range(5):
        await stub_of(channel).Execute(asking("echo"))

    assert (taken.calls, free.calls) == (1, 5)
    taken.provider.go_on.set()
    await busy


@pytest.mark.parametrize("model", ["echo", "limited", "hang"])
async def test_a_call_that_ended_counts_no_longer(start: Start, connect: Open, model: str) -> None:
    replica = await start()
    channel = await connect(NameServer(replica.address))

    with suppress(grpc.aio.AioRpcError):
        await stub_of(channel).Execute(asking(model), timeout=0.2)
    with suppress(grpc.aio.AioRpcError):
        await read(stub_of(channel).StreamExecute(streaming(model), timeout=0.2), [])

    [instance] = channel._instances.values()
    await until(lambda: instance.in_flight == 0)


async def test_an_instance_that_drains_gets_no_new_calls_and_ends_its_own(
    start: Start, connect: Open
) -> None:
    draining, other = await start(), await start()
    channel = await connect(NameServer(draining.address, other.address))
    calls = [waiting_on(channel), waiting_on(channel)]
    await until(lambda: draining.calls == other.calls == 1)

    draining.health.drain()
    await until(lambda: channel.serving_count == 1)
    for _ in range(4):
        await stub_of(channel).Execute(asking("echo"))
    draining.provider.go_on.set()
    other.provider.go_on.set()

    await asyncio.gather(*calls)
    assert (draining.calls, other.calls) == (1, 5)


async def test_where_nobody_serves_one_that_drains_still_takes_calls(
    start: Start, connect: Open
) -> None:
    replica = await start()
    channel = await connect(NameServer(replica.address))

    replica.health.drain()
    await until(lambda: channel.serving_count == 0)
    await stub_of(channel).Execute(asking("echo"))

    assert replica.calls == 1


class ForgetfulHealth(Health):
    """Ends its watches without a word."""

    def __init__(self) -> None:
        super().__init__()
        self.forget = asyncio.Event()

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if not self.forget.is_set():
            yield await self.Check(request, context)
            await self.forget.wait()


async def test_an_instance_that_ends_the_watch_is_left_out() -> None:
    replica, health = Replica(), ForgetfulHealth()
    replica.health = health
    health.serve()
    await replica.start()
    channel = RemoteChannel("provider", [f"127.0.0.1:{replica.port}"], ())
    await channel.resolve()
    await until(lambda: channel.serving_count == 1)

    health.forget.set()

    await until(lambda: channel.serving_count == 0)
    await channel.close()
    await replica.kill()


async def test_a_killed_instance_is_left_out_and_comes_back(start: Start, connect: Open) -> None:
    mortal, other = await start(), await start()
    channel = await connect(NameServer(mortal.address, other.address))

    await mortal.kill()
    await until(lambda: channel.serving_count == 1)
    for _ in range(3):
        await stub_of(channel).Execute(asking("echo"))
    assert (mortal.calls, other.calls) == (0, 3)

    await mortal.start()
    await until(lambda: channel.serving_count == 2)
    for _ in range(4):
        await stub_of(channel).Execute(asking("echo"))
    assert (mortal.calls, other.calls) == (2, 5)


async def test_an_address_that_appears_gets_calls(start: Start, connect: Open) -> None:
    old, new = await start(), await start()
    names = NameServer(old.address)
    channel = await connect(names)

    names.addresses.add(new.address)
    await channel.resolve()
    await until(lambda: channel.serving_count == 2)
    for _ in range(4):
        await stub_of(channel).Execute(asking("echo"))

    assert (old.calls, new.calls) == (2, 2)


async def test_an_address_that_disappears_is_retired_after_its_calls(
    start: Start, connect: Open
) -> None:
    gone, other = await start(), await start()
    names = NameServer(gone.address, other.address)
    channel = await connect(names)
    calls = [waiting_on(channel), waiting_on(channel)]
    await until(lambda: gone.calls == other.calls == 1)

    names.addresses.remove(gone.address)
    await channel.resolve()
    assert channel.instance_count == 1
    for _ in range(3):
        await stub_of(channel).Execute(asking("echo"))
    gone.provider.go_on.set()
    other.provider.go_on.set()

    await asyncio.gather(*calls)
    assert (gone.calls, other.calls) == (1, 4)
    await until(lambda: not channel._leaving)


async def test_a_name_server_that_is_away_takes_no_instance_away(
    start: Start, connect: Open
) -> None:
    replica = await start()
    names = NameServer(replica.address)
    channel = await connect(names)

    for error in (OSError("no answer"), UnicodeError("label too long")):
        names.error = error
        await channel.resolve()

    await stub_of(channel).Execute(asking("echo"))
    assert replica.calls == 1


async def test_a_host_that_cannot_be_resolved_keeps_no_other_hosts_instances(
    start: Start,
) -> None:
    stays, goes = await start(), await start()
    known = {"away": {stays.address}, "here": {goes.address}}

    async def lookup(host: str, _port: int) -> set[Address]:
        if host not in known:
            raise OSError("no answer")
        return known[host]

    channel = RemoteChannel("provider", ["away:1", "here:1"], (), lookup=lookup)
    await channel.resolve()

    del known["away"]
    known["here"] = set()
    await channel.resolve()

    assert set(channel._instances) == {stays.address}
    await channel.close()


async def test_without_an_instance_that_serves_a_call_is_unavailable_at_once(
    start: Start, connect: Open
) -> None:
    replica = await start()
    channel = await connect(NameServer(replica.address))
    replica.health.close()
    await until(lambda: not any(each.serving or each.draining for each in channel.instances))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub_of(channel).Execute(asking("echo"), timeout=BOUND_SECONDS)

    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert raised.value.details() == "no instance of provider is serving"


async def test_a_channel_leaves_no_task_behind(start: Start) -> None:
    before = asyncio.all_tasks()
    kept, gone = await start(), await start()
    names = NameServer(kept.address, gone.address, ("127.0.0.1", 1))
    channel = RemoteChannel("provider", ["provider:9000"], (), lookup=names.lookup)
    await channel.resolve()
    await until(lambda: channel.serving_count == 2)
    calls = [waiting_on(channel), waiting_on(channel)]
    await until(lambda: kept.calls == gone.calls == 1)
    names.addresses.remove(gone.address)
    await channel.resolve()

    await channel.close()

    await asyncio.wait(calls)
    await kept.kill()
    await gone.kill()
    await until(lambda: asyncio.all_tasks() <= before)


async def test_run_resolves_until_it_is_cancelled(start: Start) -> None:
    replica = await start()
    names = NameServer(replica.address)
    channel = RemoteChannel("provider", ["provider:9000"], (), lookup=names.lookup)

    running = asyncio.create_task(channel.run())
    await until(lambda: channel.serving_count == 1)
    running.cancel()
    await asyncio.wait([running])

    assert running.cancelled()
    await channel.close()


async def test_a_peer_that_comes_back_at_another_address_is_found(start: Start) -> None:
    first, second = await start(), await start()
    names = NameServer(first.address)
    channel = RemoteChannel("provider", ["provider:9000"], (), lookup=names.lookup)
    running = asyncio.create_task(channel.run())
    await until(lambda: channel.serving_count == 1)

    await first.kill()
    names.addresses = {second.address}
    await until(
        lambda: [each.address for each in channel.instances if each.serving] == [second.address]
    )

    running.cancel()
    await asyncio.wait([running])
    await channel.close()


async def test_a_lost_instance_is_looked_up_at_once(start: Start) -> None:
    mortal, other, new = await start(), await start(), await start()
    names = NameServer(mortal.address, other.address)
    channel = RemoteChannel(
        "provider", ["provider:9000"], (), lookup=names.lookup, rest_seconds=10 * BOUND_SECONDS
    )
    await channel.resolve()
    await until(lambda: channel.serving_count == 2)
    running = asyncio.create_task(channel.run())

    names.addresses = {other.address, new.address}
    await mortal.kill()

    await until(lambda: new.address in {each.address for each in channel.instances})
    running.cancel()
    await asyncio.wait([running])
    await channel.close()


async def test_an_instance_on_ipv6_is_reached() -> None:
    replica = Replica()
    try:
        await replica.start("[::1]")
    except OSError:
        pytest.skip("this machine has no IPv6")
    channel = RemoteChannel("provider", [f"[::1]:{replica.port}"], ())

    await channel.resolve()
    await until(lambda: channel.serving_count == 1)
    await stub_of(channel).Execute(asking("echo"))

    assert replica.calls == 1
    await channel.close()
    await replica.kill()
