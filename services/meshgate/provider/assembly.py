"""Builds the provider service."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from meshgate.config.opening import open_source
from meshgate.config.secrets import LocalSecrets
from meshgate.config.source import ConfigSource
from meshgate.provider.execution import Execution
from meshgate.provider.http1_client import Http1Client
from meshgate.provider.observation import Observer
from meshgate.provider.servicer import ProviderServicer
from meshgate.provider.settings import ClientName, Settings
from meshgate.provider.targets import Targets
from meshgate.provider.upstream import ClientFactory, ClientOptions, UpstreamClient
from meshgate.provider.upstreams import Upstreams
from meshgate.runtime.environment import Environment
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation, Service
from meshgate.runtime.tracing import tracer_of
from meshgate.v1 import provider_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["ProviderService"]


def _http1_client(options: ClientOptions) -> UpstreamClient:
    """The lean client; what goes through a proxy is aiohttp's."""
    return _aiohttp_client(options) if options.proxy else Http1Client(options)


# The libraries of the others take half a second to load: only who asks for one waits for it.


def _aiohttp_client(options: ClientOptions) -> UpstreamClient:
    from meshgate.provider.aiohttp_client import AiohttpClient  # noqa: PLC0415

    return AiohttpClient(options)


def _httpx_client(options: ClientOptions) -> UpstreamClient:
    from meshgate.provider.httpx_client import HttpxClient  # noqa: PLC0415

    return HttpxClient(options)


CLIENTS: Mapping[ClientName, ClientFactory] = {
    "http1": _http1_client,
    "aiohttp": _aiohttp_client,
    "httpx": _httpx_client,
}


@asynccontextmanager
async def assemble(env: Environment, peers: Peers) -> AsyncIterator[Service]:
    """The provider service, for as long as the block lasts."""
    del peers  # it calls upstreams, and no service of the mesh
    settings = Settings.read(env)
    source = open_source(env)
    upstreams = Upstreams(LocalSecrets(env.variables), CLIENTS[settings.upstream_client])
    targets = Targets()
    upstreams.follow(source.current())
    tracer = tracer_of(env, "provider")
    observer = Observer(source.current, upstreams.address, tracer)
    execution = Execution(upstreams, targets, observer)
    servicer = ProviderServicer(execution, targets, source.current)
    try:
        yield Service(
            name="provider",
            implementations=(Implementation(SERVICE, servicer, internal=True),),
            tasks={"follow the configuration": lambda: _follow(source, upstreams, targets)},
            drain=servicer.drain,
            lacks=upstreams.lacks,
        )
    finally:
        await upstreams.close()
        await tracer.close()


async def _follow(source: ConfigSource, upstreams: Upstreams, targets: Targets) -> None:
    """Go by each new configuration. In a thread, for secrets and certificates are read from files."""
    changes = source.changes()
    snapshot = source.current()
    while True:
        targets.forget(await asyncio.to_thread(upstreams.follow, snapshot))
        await upstreams.close_replaced()
        snapshot = await anext(changes)
