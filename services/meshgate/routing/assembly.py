"""Builds the routing service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from meshgate.config.opening import open_source
from meshgate.config.source import ConfigSource
from meshgate.routing.caching import Caching
from meshgate.routing.edges import anthropic, gateway, gemini, media, openai, status
from meshgate.routing.edges.conversations import Conversations
from meshgate.routing.guarding import Guarding
from meshgate.routing.metering import Metering
from meshgate.routing.peers.auth import PrincipalCache
from meshgate.routing.peers.cache import Cache
from meshgate.routing.peers.guardrails import Guardrails
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.quota import Quota
from meshgate.routing.pipeline import Beside, Pipeline
from meshgate.routing.settings import Settings
from meshgate.routing.token_counts import CountingProviders
from meshgate.runtime.environment import Environment
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation, Service
from meshgate.runtime.tracing import tracer_of
from meshgate.tokens.counting import TokenCounter


@asynccontextmanager
async def assemble(env: Environment, peers: Peers) -> AsyncIterator[Service]:
    """The routing service, for as long as the block lasts."""
    source = open_source(env)
    channels = {name: await peers.connect(name) for name in ("auth", "quota", "provider")}
    helpers = await _helpers(peers)
    settings = Settings.read(env)
    cache = Cache(helpers["cache"], settings.cache_seconds) if "cache" in helpers else None
    checks = Guardrails(helpers["guardrails"]) if "guardrails" in helpers else None
    principals = PrincipalCache(channels["auth"], lambda: source.current().auth.stale_for_seconds)
    quota = Quota(QuotaCalls(channels["quota"]), settings.hold_seconds)
    counter = TokenCounter()
    providers = CountingProviders(channels["provider"], counter, source.current)
    tracer = tracer_of(env, "routing")
    metering = Metering(quota, counter, source.current)
    pipeline = Pipeline(
        principals,
        metering,
        providers,
        source.current,
        Beside(caching=Caching(cache), guarding=Guarding(checks), tracer=tracer),
    )
    conversations = Conversations(pipeline, settings.idle_seconds)
    statuses = status.StatusServicer(principals, providers, {**channels, **helpers}, source.current)
    try:
        yield Service(
            name="routing",
            implementations=(
                Implementation(
                    openai.SERVICE, openai.OpenAiServicer(pipeline), error_body=openai.error_body
                ),
                Implementation(
                    anthropic.SERVICE,
                    anthropic.AnthropicServicer(pipeline),
                    error_body=anthropic.error_body,
                ),
                Implementation(
                    gemini.SERVICE,
                    gemini.GeminiServicer(pipeline),
                    error_body=gemini.error_body,
                ),
                Implementation(
                    media.SERVICE, media.MediaServicer(pipeline), error_body=openai.error_body
                ),
                Implementation(gateway.SERVICE, gateway.GatewayServicer(pipeline, conversations)),
                Implementation(status.SERVICE, statuses),
            ),
            tasks={
                "watch principals": principals.watch,
                "settle": quota.flush,
                "look after grants": quota.look_after,
                "follow the configuration": lambda: _follow(source),
                **({"keep answers": cache.store} if cache is not None else {}),
            },
            drain=conversations.drain,
        )
    finally:
        await providers.close()
        if checks is not None:
            await checks.close()
        await quota.close()
        await counter.close()
        await tracer.close()


async def _helpers(peers: Peers) -> dict[str, Any]:
    """Channels to the services that some requests can do without, as far as there are any."""
    found = {name: await peers.connect_if_any(name) for name in ("cache", "guardrails")}
    return {name: channel for name, channel in found.items() if channel is not None}


async def _follow(source: ConfigSource) -> None:
    """Let the source look for changes; the pipeline asks it for what is current."""
    async for _ in source.changes():
        pass
