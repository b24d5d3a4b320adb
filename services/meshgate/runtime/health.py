"""grpc.health.v1.Health: whether this process takes calls."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from grpc_health.v1 import health_pb2 as pb

from meshgate.runtime.service import Implementation

_SERVICE = pb.DESCRIPTOR.services_by_name["Health"]


class Health:
    """The health of this process, one for all that it hosts.

    Starts as NOT_SERVING. Envoy and the peers stop sending calls soon after it turns back.
    """

    def __init__(self) -> None:
        self._status = pb.HealthCheckResponse.NOT_SERVING
        self._changed = asyncio.Event()
        self._closed = False

    def serve(self) -> None:
        self._turn(pb.HealthCheckResponse.SERVING)

    def drain(self) -> None:
        self._turn(pb.HealthCheckResponse.NOT_SERVING)

    def close(self) -> None:
        """End the watches, which would otherwise be calls in flight for as long as peers live."""
        self._closed = True
        self.drain()

    def implementation(self) -> Implementation:
        return Implementation(_SERVICE, self)

    async def Check(self, request: pb.HealthCheckRequest, context: Any) -> pb.HealthCheckResponse:  # noqa: N802
        return pb.HealthCheckResponse(status=self._status)

    async def List(self, request: pb.HealthListRequest, context: Any) -> pb.HealthListResponse:  # noqa: N802
        return pb.HealthListResponse(statuses={"": pb.HealthCheckResponse(status=self._status)})

    async def Watch(  # noqa: N802
        self,
        request: pb.HealthCheckRequest,
        context: Any,
    ) -> AsyncIterator[pb.HealthCheckResponse]:
        while True:
            changed, closed = self._changed, self._closed
            yield pb.HealthCheckResponse(status=self._status)
            if closed:
                return
            await changed.wait()

    def _turn(self, status: Any) -> None:
        self._status = status
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
