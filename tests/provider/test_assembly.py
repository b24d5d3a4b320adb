"""The provider service as a process hosts it, called in its own process."""

import asyncio
import logging

import grpc
import pytest
from provider.attempts import chat
from structlog.testing import capture_logs
from upstream import Behaviour, FakeUpstream, Gate, Match, Refuse

from meshgate.provider.assembly import assemble
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.peers import Peers
from meshgate.runtime.status import error_of_call
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1.provider_service_pb2_grpc import ProviderServiceStub

IDENTITY = MeshIdentity("the token of the mesh")
FIRST, SECOND = "sk-first-0123456789", "sk-second-0123456789"


class Hosted:
    """The service, its configuration file and what follows that."""

    def __init__(self, service, file, stub):
        self.service = service
        self.stub = stub
        self._file = file

    def configure(self, base_url, provider="local"):
        configure(self._file, base_url, provider)

    async def ask(self, provider="local"):
        return await self.stub.Execute(asking(provider))


def configure(file, base_url, provider="local"):
    key = "${env:UPSTREAM_KEY}"
    file.write_text(
        f"providers:\n"
        f'  {provider}: {{kind: openai-compatible, base_url: "{base_url}", api_key: "{key}"}}\n'
        f"models:\n"
        f"  public-name: {{targets: [{{provider: {provider}, model: m1}}]}}\n"
    )


def asking(provider="local"):
    target = pb.Target(provider=provider, model="m1")
    return pb.ExecuteRequest(target=target, dialect=pb.DIALECT_OPENAI_CHAT, body=chat())


@pytest.fixture
async def fake():
    async with FakeUpstream(api_key=FIRST) as upstream:
        yield upstream


@pytest.fixture
async def hosted(fake, tmp_path):
    file = tmp_path / "meshgate.yaml"
    configure(file, fake.base_url)
    env = Environment({"MESHGATE_CONFIG": str(file), "UPSTREAM_KEY": FIRST})
    async with Peers(env, IDENTITY) as peers, assemble(env, peers) as service:
        methods = intercepted(service.implementations[0], IDENTITY)
        stub = ProviderServiceStub(InProcessChannel(methods, IDENTITY.metadata()))
        following = [asyncio.create_task(task()) for task in service.tasks.values()]
        yield Hosted(service, file, stub)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_a_provider_that_moves_is_asked_where_it_is_now(hosted, fake):
    async with FakeUpstream(api_key=FIRST) as other:

        async def moved():
            await hosted.ask()
            return bool(other.requests)

        hosted.configure(other.base_url)

        await until(moved)
        asked = len(fake.requests)
        assert (await hosted.ask()).HasField("answer")
        assert len(fake.requests) == asked


async def test_what_is_under_way_ends_where_it_began(hosted, fake):
    gate = Gate()
    fake.script(Match(), Behaviour(), gate=gate)
    answering = asyncio.ensure_future(hosted.ask())
    await fake.arrival()

    async with FakeUpstream(api_key=FIRST) as other:
        hosted.configure(other.base_url, "elsewhere")
        await until(lambda: answers(hosted, "elsewhere"))
        reason = await refusal(hosted, "local")
        gate.open()

        assert reason == "ERROR_REASON_REVISION_BEHIND"
        assert (await answering).HasField("answer")


async def answers(hosted, provider):
    return await refusal(hosted, provider) is None


async def refusal(hosted, provider):
    """The reason why the service itself refuses, or None where it asks the upstream."""
    try:
        await hosted.ask(provider)
    except grpc.aio.AioRpcError as error:
        return error_of_call(error, "provider").reason
    return None


async def test_an_unknown_provider_is_a_revision_behind(hosted):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await hosted.ask("elsewhere")

    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error_of_call(caught.value, "provider").reason == "ERROR_REASON_REVISION_BEHIND"


async def test_secrets_stand_nowhere_that_people_look(hosted, fake, caplog):
    caplog.set_level(logging.DEBUG)
    message = f"no such key {FIRST} at {fake.origin}"
    fake.default(Behaviour(fault=Refuse(401, message=message)))

    with capture_logs() as logs:
        response = await hosted.ask()

    assert response.failure.kind == pb.FAILURE_KIND_AUTHENTICATION
    told = f"{response} {logs} {caplog.text} {hosted.service!r} {vars(hosted.service)}"
    assert FIRST not in told
    assert fake.origin.removeprefix("http://") not in f"{response}"


async def test_a_client_that_does_not_exist_is_refused_at_the_start(tmp_path, fake):
    file = tmp_path / "meshgate.yaml"
    configure(file, fake.base_url)
    variables = {"MESHGATE_CONFIG": str(file), "MESHGATE_UPSTREAM_CLIENT": "curl"}
    env = Environment({**variables, "UPSTREAM_KEY": SECOND})

    async with Peers(env, IDENTITY) as peers:
        with pytest.raises(SettingError, match="MESHGATE_UPSTREAM_CLIENT") as caught:
            async with assemble(env, peers):
                pass

    assert SECOND not in str(caught.value)
