"""Calls of QuotaService, in batches."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import structlog
from prometheus_client import Counter

from meshgate.runtime.batching import Batcher
from meshgate.runtime.cancellation import being_cancelled
from meshgate.runtime.errors import (
    DeadlineExceededError,
    GatewayError,
    LimitExceededError,
    ServiceUnavailableError,
)
from meshgate.runtime.status import error_of, error_of_call
from meshgate.v1 import quota_service_pb2 as pb
from meshgate.v1 import quota_service_pb2_grpc as rpc

_log = structlog.get_logger("meshgate.routing")

# A bit more than quota takes to give up on its store; a batch is sent twice, and somebody waits.
_GRANT_SECONDS = 1.2
_SETTLE_SECONDS = 10.0
_MOST_ITEMS = 500

MOST_RELEASES = 100_000
"""As many grants may wait to be given back; what is more comes back by the ttl."""

_CALLS = Counter("meshgate_quota_calls", "Calls of quota.", ["rpc"])


class QuotaCalls:
    """What this process asks quota, several items at a time. Fails closed.

    Args:
        channel: To quota.
    """

    def __init__(self, channel: Any) -> None:
        self._stub: Any = rpc.QuotaServiceStub(channel)
        self._holds: Batcher[pb.HoldItem, pb.GrantResult] = Batcher(
            self._send_holds, most_items=_MOST_ITEMS
        )
        self._leases: Batcher[pb.LeaseItem, pb.GrantResult] = Batcher(
            self._send_leases, most_items=_MOST_ITEMS
        )
        self._extensions: Batcher[pb.ExtendItem, pb.GrantResult] = Batcher(
            self._send_extensions, most_items=_MOST_ITEMS
        )
        self._released: list[pb.ReleaseItem] = []
        self._is_stuck = False

    async def hold(self, item: pb.HoldItem) -> pb.Grant:
        """Ask for a hold.

        One that nobody waits for any more, or that may have been granted without an answer, is
        given back.

        Raises:
            LimitExceededError: A limit is reached.
            ServiceUnavailableError: Quota does not answer.
        """
        return await self._granted(self._holds, item)

    async def lease(self, item: pb.LeaseItem) -> pb.Grant:
        """Ask for a lease; as `hold`."""
        return await self._granted(self._leases, item)

    async def extend(self, item: pb.ExtendItem) -> pb.Grant:
        """Give a grant more time; as `hold`, and HoldUnknownError where there is none."""
        return _grant(await self._extensions.submit(item))

    def release(self, item: pb.ReleaseItem) -> None:
        """Give back, with the next `send_releases`; as far as not too much waits for that."""
        if len(self._released) < MOST_RELEASES:
            self._released.append(item)

    async def send_releases(self) -> None:
        """Send what is to be given back. What quota does not hear of comes back by the ttl."""
        items, self._released = self._released, []
        for start in range(0, len(items), _MOST_ITEMS):
            try:
                await self._send_releases(items[start : start + _MOST_ITEMS])
            except GatewayError as error:
                # Given back later then: nothing is lost that an expiry would not book.
                self._released += items[start:]
                if not self._is_stuck:
                    _log.warning("grants wait to be given back", reason=error.reason)
                self._is_stuck = True
                return
            if self._is_stuck:
                _log.info("grants are given back again")
            self._is_stuck = False

    async def settle(self, grants: Sequence[pb.GrantSettlement]) -> Sequence[pb.SettleResult]:
        """Book. Idempotent.

        Raises:
            GatewayError: Nothing is known of what became of it: send it again.
        """
        request = pb.BatchSettleRequest(grants=grants)
        response = await self._called("BatchSettle", request, _SETTLE_SECONDS)
        results: Sequence[pb.SettleResult] = response.results
        return results

    async def close(self) -> None:
        """Let what was asked land."""
        for batcher in (self._holds, self._leases, self._extensions):
            await batcher.close()

    async def _granted(self, batcher: Batcher[Any, pb.GrantResult], item: Any) -> pb.Grant:
        try:
            return _grant(await batcher.submit(item))
        except LimitExceededError:
            raise
        except BaseException:
            # Also before it is granted: then it never is.
            self.release(pb.ReleaseItem(grant_id=item.grant_id, partition=item.partition))
            raise

    async def _send_holds(self, items: Sequence[pb.HoldItem]) -> Sequence[pb.GrantResult]:
        return await self._results("BatchHold", pb.BatchHoldRequest(items=items))

    async def _send_leases(self, items: Sequence[pb.LeaseItem]) -> Sequence[pb.GrantResult]:
        return await self._results("BatchLease", pb.BatchLeaseRequest(items=items))

    async def _send_extensions(self, items: Sequence[pb.ExtendItem]) -> Sequence[pb.GrantResult]:
        return await self._results("BatchExtend", pb.BatchExtendRequest(items=items))

    async def _send_releases(self, items: Sequence[pb.ReleaseItem]) -> None:
        request = pb.BatchReleaseRequest(items=items)
        response = await self._called("BatchRelease", request, _GRANT_SECONDS)
        for result in response.results:
            if result.HasField("refusal"):
                _log.error("a release was refused", status=result.refusal.message)

    async def _results(self, method: str, request: Any) -> Sequence[pb.GrantResult]:
        response = await self._called(method, request, _GRANT_SECONDS)
        results: Sequence[pb.GrantResult] = response.results
        return results

    async def _called(self, method: str, request: Any, timeout_seconds: float) -> Any:
        call: Callable[..., Any] = getattr(self._stub, method)
        _CALLS.labels(method).inc()
        try:
            return await call(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            raise _refused(error) from None
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            raise _no_answer() from None  # cut off under us, with its channel


def _grant(result: pb.GrantResult) -> pb.Grant:
    if result.HasField("grant"):
        return result.grant
    if result.HasField("refusal"):
        raise error_of(result.refusal, "quota")
    raise GatewayError("internal error")  # fail closed


def _no_answer() -> ServiceUnavailableError:
    return ServiceUnavailableError(
        "the quota service does not answer", retry_after_seconds=1, service="quota"
    )


def _refused(call: grpc.aio.AioRpcError) -> GatewayError:
    """Why there is no answer. What quota dislikes about a call is not the client's fault."""
    error = error_of_call(call, "quota")
    if isinstance(error, ServiceUnavailableError | DeadlineExceededError):
        return _no_answer()
    _log.error("quota refused a batch", reason=error.reason)
    return GatewayError("internal error")
