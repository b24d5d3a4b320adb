"""Routing as its clients meet it: on a real server, with fake peers on every kind of binding."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from routing.fake_cache import FakeCache
from routing.fake_guardrails import GUARDRAILS, FakeGuardrails
from routing.fake_quota import FakeQuota
from routing.fakes import BOUND_SECONDS, IDENTITY, KEY, FakeAuth, FakeProvider, methods_of, until

from meshgate.config.snapshot import Snapshot
from meshgate.routing.attempts import Attempts
from meshgate.routing.caching import Caching
from meshgate.routing.conversation import Bounds
from meshgate.routing.edges import anthropic, gateway, media, openai, status
from meshgate.routing.edges.conversations import Conversations
from meshgate.routing.guarding import Guarding
from meshgate.routing.metering import Metering
from meshgate.routing.peers.auth import PrincipalCache
from meshgate.routing.peers.cache import Cache
from meshgate.routing.peers.guardrails import Guardrails
from meshgate.routing.peers.provider import Providers
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.quota import Quota
from meshgate.routing.pipeline import Beside, Pipeline
from meshgate.runtime.channel import RemoteChannel
from meshgate.runtime.health import Health
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.interception import intercepted
from meshgate.runtime.server import make_server
from meshgate.runtime.service import Implementation, Method
from meshgate.tokens.counting import TokenCounter
from meshgate.v1 import (
    auth_service_pb2,
    cache_service_pb2,
    provider_service_pb2,
    quota_service_pb2,
)
from meshgate.v1.anthropic_service_pb2_grpc import AnthropicServiceStub
from meshgate.v1.gateway_service_pb2_grpc import GatewayServiceStub
from meshgate.v1.media_service_pb2_grpc import MediaServiceStub
from meshgate.v1.openai_service_pb2_grpc import OpenAiServiceStub
from meshgate.v1.status_service_pb2_grpc import StatusServiceStub

BINDINGS = {
    "compact": ("in-process", "native"),
    "mesh": ("native", "native"),
    "mesh on grpc": ("grpc", "grpc"),
}
"""How routing meets its peers, and the stack that it serves on."""

PEERS = {
    "auth": auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"],
    "quota": quota_service_pb2.DESCRIPTOR.services_by_name["QuotaService"],
    "provider": provider_service_pb2.DESCRIPTOR.services_by_name["ProviderService"],
    "cache": cache_service_pb2.DESCRIPTOR.services_by_name["CacheService"],
    "guardrails": GUARDRAILS,
}


@dataclass
class Gateway:
    """A routing service that serves; `snapshot` may be replaced."""

    snapshot: Snapshot
    port: int = 0
    openai: Any = None
    anthropic: Any = None
    media: Any = None
    typed: Any = None
    status: Any = None
    quota: Any = None
    caching: Caching | None = None
    conversations: Any = None
    idle_seconds: float = 240.0
    bounds: Bounds | None = None


@asynccontextmanager
async def serving(
    binding: str,
    snapshot: Snapshot,
    auth: FakeAuth,
    provider: FakeProvider,
    attempts: Attempts | None = None,
    *,
    quota: FakeQuota | None = None,
    guardrails: FakeGuardrails | None = None,
    cache: FakeCache | None = None,
    **options: Any,
) -> AsyncIterator[Gateway]:
    """Routing behind a channel as anyone's client has it."""
    to_peers, own = BINDINGS[binding]
    running = Gateway(snapshot, **options)
    async with AsyncExitStack() as stack:
        channels = {
            "auth": await stack.enter_async_context(peer("auth", auth, to_peers)),
            "quota": await stack.enter_async_context(peer("quota", quota or FakeQuota(), to_peers)),
            "provider": await stack.enter_async_context(peer("provider", provider, to_peers)),
        }
        if guardrails is not None:
            channels["guardrails"] = await stack.enter_async_context(
                peer("guardrails", guardrails, to_peers)
            )
        running.quota = await stack.enter_async_context(accounts(channels["quota"]))
        if cache is not None:
            channel = await stack.enter_async_context(peer("cache", cache, to_peers))
            running.caching = await stack.enter_async_context(caching_at(channel))
        methods = routing(channels, running, attempts)
        running.port = await stack.enter_async_context(hosted(own, methods))
        channel = await stack.enter_async_context(client_channel(running.port))
        running.openai = OpenAiServiceStub(channel)
        running.anthropic = AnthropicServiceStub(channel)
        running.media = MediaServiceStub(channel)
        running.typed = GatewayServiceStub(channel)
        running.status = StatusServiceStub(channel)
        yield running


def routing(
    channels: dict[str, Any], running: Gateway, attempts: Attempts | None = None
) -> list[Method]:
    """The methods of routing, put together as its assembly does."""
    principals = PrincipalCache(channels["auth"], lambda: running.snapshot.auth.stale_for_seconds)
    providers = Providers(channels["provider"])
    guards = channels.pop("guardrails", None)
    guarding = Guarding(Guardrails(guards) if guards else None)
    metering = Metering(running.quota, TokenCounter(), lambda: running.snapshot)
    pipeline = Pipeline(
        principals,
        metering,
        providers,
        lambda: running.snapshot,
        Beside(attempts or Attempts(), running.caching or Caching(), guarding),
    )
    running.conversations = Conversations(pipeline, running.idle_seconds, running.bounds)
    statuses = status.StatusServicer(
        principals,
        providers,
        channels if guards is None else {**channels, "guardrails": guards},
        lambda: running.snapshot,
    )
    return [
        method
        for implementation in (
            Implementation(
                openai.SERVICE, openai.OpenAiServicer(pipeline), error_body=openai.error_body
            ),
            Implementation(
                anthropic.SERVICE,
                anthropic.AnthropicServicer(pipeline),
                error_body=anthropic.error_body,
            ),
            Implementation(
                media.SERVICE, media.MediaServicer(pipeline), error_body=openai.error_body
            ),
            Implementation(
                gateway.SERVICE, gateway.GatewayServicer(pipeline, running.conversations)
            ),
            Implementation(status.SERVICE, statuses),
        )
        for method in intercepted(implementation, MeshIdentity(None))
    ]


@asynccontextmanager
async def accounts(channel: Any) -> AsyncIterator[Quota]:
    """The caller's side of quota, with what it does in the background."""
    quota = Quota(QuotaCalls(channel))
    tasks = [asyncio.create_task(quota.flush()), asyncio.create_task(quota.look_after())]
    try:
        yield quota
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await quota.close()


@asynccontextmanager
async def caching_at(channel: Any) -> AsyncIterator[Caching]:
    """Answers that are kept behind a channel, by a caller who waits for a busy machine."""
    cache = Cache(channel, BOUND_SECONDS)
    task = asyncio.create_task(cache.store())
    try:
        yield Caching(cache)
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def peer(name: str, servicer: Any, binding: str) -> AsyncIterator[Any]:
    """A channel to a fake peer."""
    if binding == "in-process":
        yield servicer.channel()
        return
    implementation = Implementation(PEERS[name], servicer, internal=True)
    async with hosted(binding, methods_of(implementation)) as port:
        channel = RemoteChannel(name, [f"127.0.0.1:{port}"], IDENTITY.metadata())
        await channel.resolve()
        await until(lambda: channel.serving_count == 1)
        try:
            yield channel
        finally:
            await channel.close()


@asynccontextmanager
async def hosted(stack: Any, methods: Iterable[Method]) -> AsyncIterator[int]:
    health = Health()
    health.serve()
    server = make_server(stack, [*methods, *intercepted(health.implementation(), IDENTITY)])
    port = await server.start("127.0.0.1:0")
    try:
        yield port
    finally:
        await server.stop(0)


@asynccontextmanager
async def client_channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel


def credentials(key: str = KEY, **more: str) -> dict[str, Any]:
    """What every call of a client carries."""
    metadata = [("authorization", f"Bearer {key}")]
    metadata += [(name.replace("_", "-"), value) for name, value in more.items()]
    return {"metadata": metadata, "timeout": BOUND_SECONDS}


@dataclass
class Ending:
    """How a call ended, as its client saw it."""

    messages: list[Any]
    headers: dict[str, Any]
    code: grpc.StatusCode
    message: str
    trailers: dict[str, Any]


async def ending_of(call: Any) -> Ending:
    """Read a stream, or a plain answer, to its end, whichever it is."""
    messages: list[Any] = []
    try:
        if hasattr(call, "__aiter__"):
            async for message in call:
                messages.append(message)  # noqa: PERF401 - what came before a failure counts
        else:
            messages.append(await call)
    except grpc.aio.AioRpcError:
        pass
    return Ending(
        messages,
        _as_dict(await call.initial_metadata()),
        await call.code(),
        await call.details(),
        _as_dict(await call.trailing_metadata()),
    )


def _as_dict(metadata: Any) -> dict[str, Any]:
    return dict(metadata or ())
