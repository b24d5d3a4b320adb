"""How the gateway fares, as it says itself."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any

import grpc
import pytest
from routing.fakes import (
    ADMIN_KEY,
    HANG,
    KEY,
    FakeAuth,
    FakeProvider,
    model,
    snapshot,
)
from routing.gateway import (
    BINDINGS,
    Gateway,
    client_channel,
    credentials,
    ending_of,
    hosted,
    peer,
    routing,
    serving,
)

from meshgate.routing.edges.status import SERVICE, StatusServicer
from meshgate.routing.peers.auth import PrincipalCache
from meshgate.routing.peers.provider import Providers
from meshgate.runtime.channel import RemoteChannel
from meshgate.runtime.errors import GatewayError, ServiceUnavailableError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.interception import intercepted
from meshgate.runtime.service import Implementation
from meshgate.v1 import provider_service_pb2
from meshgate.v1 import status_service_pb2 as pb
from meshgate.v1.status_service_pb2_grpc import StatusServiceStub


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    models = snapshot(model("m", "a"), revision="rev-9")
    async with serving(request.param, models, auth, provider) as gateway:
        yield gateway


async def without(stack: AsyncExitStack, missing: str, **present: object) -> StatusServiceStub:
    """The status of a gateway that has never met one of its services."""
    channels = {
        name: await stack.enter_async_context(peer(name, servicer, "in-process"))
        for name, servicer in present.items()
    }
    absent = RemoteChannel(missing, ["127.0.0.1:1"], ())
    stack.push_async_callback(absent.close)
    every = channels | {missing: absent}
    methods = routing({name: every[name] for name in ("auth", "provider")}, Gateway(snapshot()))
    port = await stack.enter_async_context(hosted("native", methods))
    return StatusServiceStub(await stack.enter_async_context(client_channel(port)))


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_liveness_and_readiness_need_no_credential(gateway: Gateway) -> None:
    alive = await gateway.status.GetLiveness(pb.GetLivenessRequest(), timeout=20)
    ready = await gateway.status.GetReadiness(pb.GetReadinessRequest(), timeout=20)

    assert (alive.status, ready.status) == ("ok", "ok")


async def test_readiness_names_all_that_is_missing(
    stack: AsyncExitStack, provider: FakeProvider
) -> None:
    absent = {}
    for name in ("auth", "quota"):
        absent[name] = RemoteChannel(name, ["127.0.0.1:1"], ())
        stack.push_async_callback(absent[name].close)
    status = await readiness_of(stack, absent | {"provider": provider.channel()})

    ready = await ending_of(status.GetReadiness(pb.GetReadinessRequest(), timeout=20))

    assert ready.code is grpc.StatusCode.UNAVAILABLE
    assert ready.message == "not serving: auth, quota"


async def test_a_service_that_requests_do_without_is_degraded_and_not_missing(
    stack: AsyncExitStack, provider: FakeProvider
) -> None:
    cache = RemoteChannel("cache", ["127.0.0.1:1"], ())
    stack.push_async_callback(cache.close)
    status = await readiness_of(stack, {"provider": provider.channel(), "cache": cache})

    ready = await status.GetReadiness(pb.GetReadinessRequest(), timeout=20)

    assert (ready.status, list(ready.degraded)) == ("ok", ["cache"])


async def readiness_of(stack: AsyncExitStack, channels: dict[str, Any]) -> StatusServiceStub:
    """The status of a gateway with these peers."""
    servicer = StatusServicer(None, None, channels, snapshot)
    methods = intercepted(Implementation(SERVICE, servicer), MeshIdentity(None))
    port = await stack.enter_async_context(hosted("native", methods))
    return StatusServiceStub(await stack.enter_async_context(client_channel(port)))


@pytest.mark.parametrize("missing", ["auth", "provider"])
async def test_readiness_names_the_service_that_is_missing(
    stack: AsyncExitStack, auth: FakeAuth, provider: FakeProvider, missing: str
) -> None:
    servicers = {"auth": auth, "provider": provider}
    del servicers[missing]
    status = await without(stack, missing, **servicers)

    ready = await ending_of(status.GetReadiness(pb.GetReadinessRequest(), timeout=20))
    alive = await ending_of(status.GetLiveness(pb.GetLivenessRequest(), timeout=20))

    assert ready.code is grpc.StatusCode.UNAVAILABLE
    assert missing in ready.message
    assert ready.trailers["retry-after"] == "1"
    assert alive.code is grpc.StatusCode.OK


async def test_a_helper_that_is_away_is_told_and_makes_nobody_wait(
    auth: FakeAuth, provider: FakeProvider
) -> None:
    channels = {"auth": auth.channel(), "provider": provider.channel()}
    away = RemoteChannel("cache", ["127.0.0.1:1"], ())
    principals = PrincipalCache(channels["auth"], lambda: 30.0)
    providers = Providers(channels["provider"])
    statuses = StatusServicer(principals, providers, {**channels, "cache": away}, snapshot)
    methods = intercepted(Implementation(SERVICE, statuses), MeshIdentity(None))
    async with hosted("native", methods) as port, client_channel(port) as channel:
        stub = StatusServiceStub(channel)

        ready = await stub.GetReadiness(pb.GetReadinessRequest(), timeout=20)
        told = await stub.GetStatus(pb.GetStatusRequest(), **credentials(ADMIN_KEY))

    await away.close()
    assert ready.status == "ok"
    assert told.services[-1].service == "cache"
    assert told.services[-1].health == pb.SERVICE_HEALTH_NOT_SERVING


async def test_the_status_tells_of_services_targets_and_configuration(
    gateway: Gateway, provider: FakeProvider
) -> None:
    target = provider_service_pb2.TargetStatus(
        target=provider_service_pb2.Target(provider="a", model="up"),
        health=provider_service_pb2.TARGET_HEALTH_HEALTHY,
    )
    provider.targets = [target]

    status = await gateway.status.GetStatus(pb.GetStatusRequest(), **credentials(ADMIN_KEY))

    assert (status.version, status.config_revision) == (version("meshgate"), "rev-9")
    assert [service.service for service in status.services] == [
        "routing",
        "auth",
        "quota",
        "provider",
    ]
    assert {service.health for service in status.services} == {pb.SERVICE_HEALTH_SERVING}
    assert list(status.targets) == [target]
    assert all(service.required for service in status.services)
    told = [instance for service in status.services for instance in service.instances]
    assert [instance.version for instance in told] == [version("meshgate")] * 4
    assert all(instance.serving and instance.address for instance in told)


async def test_a_service_that_lacks_something_is_degraded(
    auth: FakeAuth, provider: FakeProvider
) -> None:
    provider.lacks = ("the provider a cannot be used: see the log",)
    async with serving("mesh", snapshot(model("m", "a")), auth, provider) as gateway:
        status = await gateway.status.GetStatus(pb.GetStatusRequest(), **credentials(ADMIN_KEY))

    services = {service.service: service for service in status.services}
    [instance] = services["provider"].instances
    assert services["provider"].health == pb.SERVICE_HEALTH_DEGRADED
    assert list(instance.degraded_reasons) == list(provider.lacks)
    assert services["auth"].health == pb.SERVICE_HEALTH_SERVING


@pytest.mark.parametrize(
    ("key", "code"), [(KEY, "PERMISSION_DENIED"), ("wrong", "UNAUTHENTICATED")]
)
async def test_the_status_is_for_the_admin_only(gateway: Gateway, key: str, code: str) -> None:
    ending = await ending_of(gateway.status.GetStatus(pb.GetStatusRequest(), **credentials(key)))

    assert ending.code is grpc.StatusCode[code]
    assert ending.messages == []


@pytest.mark.parametrize(
    "trouble", [ServiceUnavailableError("away"), GatewayError("internal error"), HANG]
)
async def test_the_status_does_without_a_provider_that_does_not_say(
    gateway: Gateway, provider: FakeProvider, trouble: object
) -> None:
    provider.targets = trouble

    status = await gateway.status.GetStatus(pb.GetStatusRequest(), **credentials(ADMIN_KEY))

    assert list(status.targets) == []
    assert len(status.services) == 4


async def test_a_service_that_was_never_met_is_told_as_not_serving(
    stack: AsyncExitStack, auth: FakeAuth
) -> None:
    status = await without(stack, "provider", auth=auth)

    told = await status.GetStatus(pb.GetStatusRequest(), **credentials(ADMIN_KEY))

    assert {service.service: service.health for service in told.services} == {
        "routing": pb.SERVICE_HEALTH_SERVING,
        "auth": pb.SERVICE_HEALTH_SERVING,
        "provider": pb.SERVICE_HEALTH_NOT_SERVING,
    }
    assert list(told.targets) == []
