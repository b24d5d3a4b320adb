"""How the gateway fares."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import structlog

from meshgate.config.snapshot import Snapshot
from meshgate.routing import policies
from meshgate.routing.arrival import Arrival
from meshgate.routing.peers.auth import PrincipalCache
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
"""Services that requests do without, but for those that the configuration sends through them."""

_TARGETS_SECONDS = 1.0


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
        serving = {name for name, channel in self._peers.items() if channel.serving_count}
        for name in sorted(self._needed() - serving):
            raise _not_serving(name)
        return pb.GetReadinessResponse(status="ok")

    async def GetStatus(self, request: Any, context: Any) -> pb.GetStatusResponse:
        arrival = Arrival.from_context(context, "StatusService.GetStatus")
        principal = await self._principals.authenticate(arrival)
        if not principal.admin:
            raise PermissionDeniedError("only the admin key may see the status of the gateway")
        return pb.GetStatusResponse(
            version=version("meshgate"),
            config_revision=self._snapshot().revision,
            services=[_this(), *(_peer(*peer) for peer in self._peers.items())],
            targets=await self._targets(),
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


def _not_serving(name: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"the {name} service is not serving", retry_after_seconds=1, service=name
    )


def _this() -> pb.ServiceStatus:
    return pb.ServiceStatus(
        service="routing",
        health=pb.SERVICE_HEALTH_SERVING,
        serving_count=1,
        instance_count=1,
    )


def _peer(name: str, channel: Any) -> pb.ServiceStatus:
    serving = channel.serving_count
    return pb.ServiceStatus(
        service=name,
        health=pb.SERVICE_HEALTH_SERVING if serving else pb.SERVICE_HEALTH_NOT_SERVING,
        serving_count=serving,
        instance_count=channel.instance_count,
    )
