"""The routing service as a process hosts it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty
from routing.fake_cache import FakeCache
from routing.fake_guardrails import FakeGuardrails
from routing.fake_quota import FakeQuota
from routing.fakes import ADMIN_KEY, BOUND_SECONDS, FakeAuth, FakeProvider, answer, until
from routing.gateway import PEERS, client_channel, credentials, ending_of

from meshgate.routing.assembly import assemble
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.peers import Peers
from meshgate.runtime.server import Assemble, running
from meshgate.runtime.service import Implementation, Service
from meshgate.runtime.settings import ServerSettings
from meshgate.v1.openai_service_pb2_grpc import OpenAiServiceStub
from meshgate.v1.status_service_pb2_grpc import StatusServiceStub

MODELS = """
providers: {demo: {kind: demo}}
models:
"""
MODEL = "  %s: {targets: [{provider: demo}]}\n"


def faking(name: str, servicer: Any) -> Assemble:
    @asynccontextmanager
    async def assemble_fake(_env: Environment, _peers: Peers) -> AsyncIterator[Service]:
        yield Service(name, (Implementation(PEERS[name], servicer, internal=True),))

    return assemble_fake


def settings() -> ServerSettings:
    return ServerSettings(
        listen="127.0.0.1:0",
        metrics_listen=None,
        stack="native",
        identity=MeshIdentity(None),
        drain_notice_seconds=0.0,
        drain_grace_seconds=0.0,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "meshgate.yaml"
    file.write_text(MODELS + MODEL % "one")
    return file


@pytest.fixture
async def openai(
    file: Path, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[OpenAiServiceStub]:
    assemblies = {
        "auth": faking("auth", auth),
        "quota": faking("quota", FakeQuota()),
        "provider": faking("provider", provider),
        "routing": assemble,
    }
    env = Environment({"MESHGATE_CONFIG": str(file)})
    async with (
        running(assemblies, env, settings()) as serving,
        client_channel(serving.port) as channel,
    ):
        yield OpenAiServiceStub(channel)


async def names(openai: Any) -> list[str]:
    listed = await openai.ListModels(Empty(), **credentials())
    return [item["id"] for item in json.loads(listed.data)["data"]]


async def test_a_changed_file_changes_the_models_without_a_restart(openai: Any, file: Path) -> None:
    assert await names(openai) == ["one"]

    file.write_text(MODELS + MODEL % "one" + MODEL % "two")

    async with asyncio.timeout(BOUND_SECONDS):
        while await names(openai) != ["one", "two"]:
            await asyncio.sleep(0.01)


async def test_a_broken_file_is_refused_and_leaves_the_models_as_they_are(
    openai: Any, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logged: list[str] = []

    def refused() -> bool:
        logged.append(capsys.readouterr().out)
        return "configuration refused" in "".join(logged)

    file.write_text("models: [")

    await until(refused)
    assert await names(openai) == ["one"]


async def test_principals_are_watched_from_the_start(openai: Any, auth: FakeAuth) -> None:
    await auth.watched()
    await auth.beat()

    await names(openai)
    await names(openai)

    assert len(auth.batches) == 1


async def test_guardrails_that_are_hosted_here_are_asked(
    file: Path, auth: FakeAuth, provider: FakeProvider
) -> None:
    assemblies = {
        "auth": faking("auth", auth),
        "quota": faking("quota", FakeQuota()),
        "provider": faking("provider", provider),
        "guardrails": faking("guardrails", FakeGuardrails()),
        "routing": assemble,
    }
    env = Environment({"MESHGATE_CONFIG": str(file)})
    async with (
        running(assemblies, env, settings()) as serving,
        client_channel(serving.port) as channel,
    ):
        stub: Any = StatusServiceStub(channel)
        status = await stub.GetStatus(Empty(), **credentials(ADMIN_KEY))

    assert "guardrails" in {service.service for service in status.services}


async def test_a_service_without_an_address_is_named(file: Path) -> None:
    env = Environment({"MESHGATE_CONFIG": str(file)})

    with pytest.raises(SettingError, match="MESHGATE_PEER_AUTH"):
        async with running({"routing": assemble}, env, settings()):
            pass


async def test_a_cache_is_asked_where_there_is_one(
    file: Path, auth: FakeAuth, provider: FakeProvider
) -> None:
    cache = FakeCache()
    file.write_text(MODELS + "  one: {targets: [{provider: demo}], cache: {mode: exact}}\n")
    provider.at("demo", answer(b"{}"))
    assemblies = {
        "auth": faking("auth", auth),
        "quota": faking("quota", FakeQuota()),
        "cache": faking("cache", cache),
        "provider": faking("provider", provider),
        "routing": assemble,
    }
    env = Environment({"MESHGATE_CONFIG": str(file), "ROUTING_CACHE_TIMEOUT": "20s"})
    asked = HttpBody(data=b'{"model": "one", "messages": [{"role": "user", "content": "hi"}]}')
    async with (
        running(assemblies, env, settings()) as serving,
        client_channel(serving.port) as channel,
    ):
        call = OpenAiServiceStub(channel).ChatCompletions(asked, **credentials())

        ending = await ending_of(call)

    assert ending.headers["x-meshgate-cache"] == "miss"
    assert len(cache.lookups) == 1


async def test_routing_serves_before_its_peers_do(file: Path) -> None:
    env = Environment(
        {
            "MESHGATE_CONFIG": str(file),
            "MESHGATE_PEER_AUTH": "127.0.0.1:1",
            "MESHGATE_PEER_QUOTA": "127.0.0.1:1",
            "MESHGATE_PEER_PROVIDER": "127.0.0.1:1",
        }
    )
    async with (
        running({"routing": assemble}, env, settings()) as serving,
        client_channel(serving.port) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await OpenAiServiceStub(channel).ListModels(Empty(), **credentials())

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "auth" in str(raised.value.details())
