"""Builds the guardrails service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from meshgate.config.opening import open_source
from meshgate.config.source import ConfigSource
from meshgate.guardrails.policies import Policies
from meshgate.guardrails.revisions import Revisions
from meshgate.guardrails.servicer import GuardrailsServicer
from meshgate.runtime.environment import Environment
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation, Service
from meshgate.v1 import guardrails_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["GuardrailsService"]

_log = structlog.get_logger("meshgate.guardrails")


@asynccontextmanager
async def assemble(env: Environment, peers: Peers) -> AsyncIterator[Service]:
    """The guardrails service, for as long as the block lasts."""
    del peers  # it calls no service of the mesh
    source = open_source(env)
    policies = Policies()
    policies.follow(source.current())
    revisions = Revisions(policies, source.poll)
    yield Service(
        name="guardrails",
        implementations=(Implementation(SERVICE, GuardrailsServicer(revisions), internal=True),),
        tasks={"follow the configuration": lambda: _follow(source, revisions)},
    )


async def _follow(source: ConfigSource, revisions: Revisions) -> None:
    """Know each new configuration, also while nobody asks."""
    changes = source.changes()
    snapshot = source.current()
    while True:
        await revisions.follow(snapshot)
        _log.info("policies are ready", revision=snapshot.revision, count=len(snapshot.guardrails))
        snapshot = await anext(changes)
