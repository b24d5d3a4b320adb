"""Finding peers, in this process or by address."""

import asyncio

import pytest
from runtime.binding import IDENTITY, asking, until
from runtime.scripted import ScriptedProvider

from meshgate.runtime.channel import RemoteChannel
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.peers import Peers
from meshgate.v1 import provider_service_pb2_grpc as rpc


async def test_a_hosted_service_is_reached_in_process() -> None:
    provider = ScriptedProvider()
    async with Peers(Environment({}), IDENTITY) as peers:
        peers.host("provider", intercepted(provider.implementation(internal=True), IDENTITY))

        channel = await peers.connect("provider")
        await rpc.ProviderServiceStub(channel).Execute(asking("echo"))

    assert type(channel) is InProcessChannel
    assert len(provider.seen) == 1


async def test_any_other_service_is_reached_at_its_addresses() -> None:
    variables = {"MESHGATE_PEER_PROVIDER": "127.0.0.1:1, 127.0.0.1:2"}
    async with Peers(Environment(variables), IDENTITY) as peers:
        channel = await peers.connect("provider")

        assert type(channel) is RemoteChannel
        assert set(channel._instances) == {("127.0.0.1", 1), ("127.0.0.1", 2)}


async def test_a_peer_without_an_address_is_refused_by_the_variables_name() -> None:
    async with Peers(Environment({}), IDENTITY) as peers:
        with pytest.raises(SettingError, match="MESHGATE_PEER_PROVIDER is not set"):
            await peers.connect("provider")


async def test_a_peer_that_a_mesh_can_do_without_is_met_where_there_is_one() -> None:
    provider = ScriptedProvider()
    variables = {"MESHGATE_PEER_CACHE": "127.0.0.1:1"}
    async with Peers(Environment(variables), IDENTITY) as peers:
        peers.host("provider", intercepted(provider.implementation(internal=True), IDENTITY))

        assert type(await peers.connect_if_any("provider")) is InProcessChannel
        assert type(await peers.connect_if_any("cache")) is RemoteChannel
        assert await peers.connect_if_any("guardrails") is None


@pytest.mark.parametrize("text", ["provider", "provider:x", ",", "provider:1,:2"])
async def test_a_bad_address_is_refused_by_the_variables_name(text: str) -> None:
    async with Peers(Environment({"MESHGATE_PEER_PROVIDER": text}), IDENTITY) as peers:
        with pytest.raises(SettingError, match="MESHGATE_PEER_PROVIDER: "):
            await peers.connect("provider")


async def test_nothing_of_a_peer_is_left_at_the_end() -> None:
    before = asyncio.all_tasks()

    async with Peers(Environment({"MESHGATE_PEER_AUTH": "127.0.0.1:1"}), IDENTITY) as peers:
        await peers.connect("auth")
        assert asyncio.all_tasks() > before

    # grpcio's own task for the call that was cut off ends a moment later.
    await until(lambda: asyncio.all_tasks() == before)
