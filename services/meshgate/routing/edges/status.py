"""How the gateway fares."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import structlog

from meshgate.config.snapshot import Snapshot
from meshgate.routing import policies
from meshgate.routing.arrival import Arrival
from meshgate.routing.peers.auth import PrincipalCache
from meshgate.routing.peers.instances import IN_PROCESS, instances_of
from meshgate.routing.peers.provider import Providers
from meshgate.runtime.errors import (
    GatewayError,
    PermissionDeniedError,
    ServiceUnavailableError,
)
from meshgate.v1 import status_service_pb2 as pb
from meshgate.v1 import status_service_pb2_grpc as rpc

SERVICE = pb.DESCRIPTOR.services_by_name["StatusService"]

_log = structlog.get_logger("meshgate.routing")

DISPENSABLE = frozenset({"cache", "guardrails"})
"""Services that requests do without: when one is away, the gateway is ready all the same.

But for guardrails where the configuration sends requests through them.
"""

_TARGETS_SECONDS = 1.0
_ASK_SECONDS = 1.0


class StatusServicer(rpc.StatusServiceServicer):
    """StatusService.

    Args:
        principals: Who asks.
        providers: Knows how upstreams fare.
        peers: The channel to each service that routing calls, by name.
        snapshot: The configuration, as it is now.
    """

    def __init__(
        self,
        principals: PrincipalCache,
        providers: Providers,
        peers: Mapping[str, Any],
        snapshot: Callable[[], Snapshot],
    ) -> None:
        self._principals = principals
        self._providers = providers
        self._peers = peers
        self._snapshot = snapshot

    async def GetLiveness(self, request: Any, context: Any) -> pb.GetLivenessResponse:
        return pb.GetLivenessResponse(status="ok")

    async def GetReadiness(self, request: Any, context: Any) -> pb.GetReadinessResponse:
        needed = self._needed()
        away = {name for name, channel in self._peers.items() if not channel.serving_count}
        missing = sorted(needed & away | needed - self._peers.keys())
        if missing:
            raise _not_ready(missing)
        return pb.GetReadinessResponse(status="ok", degraded=sorted(away))

    async def GetStatus(self, request: Any, context: Any) -> pb.GetStatusResponse:
        arrival = Arrival.from_context(context, "StatusService.GetStatus")
        principal = await self._principals.authenticate(arrival)
        if not principal.admin:
            raise PermissionDeniedError("only the admin key may see the status of the gateway")
        needed = self._needed()
        asking = [
            _peer(name, channel, required=name in needed) for name, channel in self._peers.items()
        ]
        targets, *services = await asyncio.gather(self._targets(), *asking)
        return pb.GetStatusResponse(
            version=version("meshgate"),
            config_revision=self._snapshot().revision,
            services=[_this(), *services],
            targets=targets,
        )

    def _needed(self) -> set[str]:
        """The services without which requests are refused."""
        guardrails = {"guardrails"} if policies.are_needed(self._snapshot()) else set()
        return (self._peers.keys() - DISPENSABLE) | guardrails

    async def _targets(self) -> list[Any]:
        # Fail open: what can be told without provider is told.
        try:
            return await self._providers.list_targets(_TARGETS_SECONDS)
        except GatewayError as error:
            _log.warning("targets are unknown", reason=error.reason)
            return []


def _not_ready(missing: Sequence[str]) -> ServiceUnavailableError:
    names = ", ".join(missing)
    return ServiceUnavailableError(
        f"not serving: {names}", retry_after_seconds=1, service=missing[0], missing=names
    )


def _this() -> pb.ServiceStatus:
    """The process that answers; there may be others, of which it does not know."""
    this = pb.InstanceStatus(address=IN_PROCESS, serving=True, version=version("meshgate"))
    return pb.ServiceStatus(
        service="routing",
        health=pb.SERVICE_HEALTH_SERVING,
        serving_count=1,
        instance_count=1,
        required=True,
        instances=[this],
    )


async def _peer(name: str, channel: Any, *, required: bool) -> pb.ServiceStatus:
    instances = await instances_of(name, channel, _ASK_SECONDS)
    return pb.ServiceStatus(
        service=name,
        health=_health(instances),
        serving_count=sum(instance.serving for instance in instances),
        instance_count=len(instances),
        required=required,
        instances=instances,
    )


def _health(instances: Sequence[pb.InstanceStatus]) -> pb.ServiceHealth.ValueType:
    serving = [instance for instance in instances if instance.serving]
    if not serving:
        return pb.SERVICE_HEALTH_NOT_SERVING
    if any(instance.degraded_reasons for instance in serving):
        return pb.SERVICE_HEALTH_DEGRADED
    return pb.SERVICE_HEALTH_SERVING
