"""Builds the routing service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meshgate.config.opening import open_source
from meshgate.config.source import ConfigSource
from meshgate.routing.edges import gateway, openai, status
from meshgate.routing.edges.conversations import Conversations
from meshgate.routing.metering import Metering
from meshgate.routing.peers.auth import PrincipalCache
from meshgate.routing.peers.provider import Providers
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.quota import Quota
from meshgate.routing.pipeline import Pipeline
from meshgate.routing.settings import Settings
from meshgate.runtime.environment import Environment
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation, Service
from meshgate.tokens.counting import TokenCounter


@asynccontextmanager
async def assemble(env: Environment, peers: Peers) -> AsyncIterator[Service]:
    """The routing service, for as long as the block lasts."""
    source = open_source(env)
    channels = {name: await peers.connect(name) for name in ("auth", "quota", "provider")}
    principals = PrincipalCache(channels["auth"], lambda: source.current().auth.stale_for_seconds)
    providers = Providers(channels["provider"])
    settings = Settings.read(env)
    quota = Quota(QuotaCalls(channels["quota"]), settings.hold_seconds)
    counter = TokenCounter()
    metering = Metering(quota, counter, source.current)
    pipeline = Pipeline(principals, metering, providers, source.current)
    conversations = Conversations(pipeline, settings.idle_seconds)
    statuses = status.StatusServicer(principals, providers, channels, source.current)
    try:
        yield Service(
            name="routing",
            implementations=(
                Implementation(
                    openai.SERVICE, openai.OpenAiServicer(pipeline), error_body=openai.error_body
                ),
                Implementation(gateway.SERVICE, gateway.GatewayServicer(pipeline, conversations)),
                Implementation(status.SERVICE, statuses),
            ),
            tasks={
                "watch principals": principals.watch,
                "settle": quota.flush,
                "look after grants": quota.look_after,
                "follow the configuration": lambda: _follow(source),
            },
            drain=conversations.drain,
        )
    finally:
        await providers.close()
        await quota.close()
        await counter.close()


async def _follow(source: ConfigSource) -> None:
    """Let the source look for changes; the pipeline asks it for what is current."""
    async for _ in source.changes():
        pass
