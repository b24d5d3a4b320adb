"""Settling: what was used is kept here until quota says that it is booked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import structlog
from prometheus_client import Counter

from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.grant import MOST_RECORD_BYTES, Grant
from meshgate.runtime.cancellation import being_cancelled
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.telemetry import described
from meshgate.v1 import quota_service_pb2 as pb

_log = structlog.get_logger("meshgate.routing")

_MOST_GRANTS = 500
_MOST_FLIGHTS = 128
# An answer waits for the disk, up to a second: with a flight for each request there would soon be
# none left for a place that somebody waits for.
_MOST_HURRIED = 32
_SOON_SECONDS = 0.01
_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)

MOST_UNBOOKED = 200_000
"""As many requests may wait to be booked; then no more are let in."""

_SETTLED = Counter("meshgate_quota_settled", "Requests that were sent to be booked.")
_REFUSED = Counter("meshgate_quota_settlements_refused", "Settlements that can never be booked.")


class _Batch(NamedTuple):
    """What goes to quota together, and how many requests it tells of."""

    grants: Sequence[pb.GrantSettlement]
    bookings: int


class Settling:
    """Sends what grants have noted. Several batches may be on their way.

    Args:
        calls: To quota.
        sleep: Waits for so many seconds, between two tries.

    Attributes:
        unbooked: How many bookings quota has not acknowledged yet.
    """

    def __init__(
        self, calls: QuotaCalls, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._calls = calls
        self._sleep = sleep
        self._noted: dict[str, Grant] = {}
        self.unbooked = 0
        self._flights: set[asyncio.Task[None]] = set()
        self._soon: asyncio.TimerHandle | None = None
        self._is_stuck = False

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be booked that nothing may be added."""
        return self.unbooked >= MOST_UNBOOKED

    def note(self, grant: Grant) -> None:
        """There is something to settle for this grant."""
        self._noted[grant.grant_id] = grant
        self.unbooked += 1
        if grant.record_bytes >= MOST_RECORD_BYTES:
            self.flush()

    def hurry(self) -> None:
        """Send what was noted at once, or soon and together where much is on its way already."""
        if len(self._flights) < _MOST_HURRIED:
            self.flush()
        elif self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(_SOON_SECONDS, self._flush_now)

    def _flush_now(self) -> None:
        self._soon = None
        self.flush()

    def flush(self) -> None:
        """Send what was noted, in batches, as far as not too many are on their way already."""
        while self._noted and len(self._flights) < _MOST_FLIGHTS:
            batch = self._next_batch()
            flight = asyncio.create_task(self._fly(batch), name="settle")
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    async def close(self, within_seconds: float) -> None:
        """Send all there is and wait until it is booked, at most for so many seconds."""
        try:
            async with asyncio.timeout(within_seconds):
                while self._noted or self._flights:
                    self.flush()
                    await asyncio.wait(self._flights)
        except TimeoutError:
            _log.error("requests were not booked before the end", count=self.unbooked)
        if self._soon is not None:
            self._soon.cancel()
        for flight in self._flights:
            flight.cancel()

    def _next_batch(self) -> _Batch:
        grants: list[pb.GrantSettlement] = []
        bookings = record_bytes = 0
        while self._noted and len(grants) < _MOST_GRANTS and record_bytes < MOST_RECORD_BYTES:
            _, grant = self._noted.popitem()
            record_bytes += grant.record_bytes
            bookings += grant.bookings
            grants.append(grant.settlement())
            if grant.record_bytes:
                self._noted[grant.grant_id] = grant  # the rest of its records
        return _Batch(grants, bookings)

    async def _fly(self, batch: _Batch) -> None:
        """Send a batch until it is booked: quota books it once, however often it comes."""
        for pause_seconds in chain(_RETRY_SECONDS, repeat(_RETRY_SECONDS[-1])):
            if await self._is_booked(batch):
                self.unbooked -= batch.bookings
                _SETTLED.inc(batch.bookings)
                return
            await self._sleep(pause_seconds)

    async def _is_booked(self, batch: _Batch) -> bool:
        """Send a batch once; whether quota has acknowledged it."""
        try:
            self._tell_refused(await self._calls.settle(batch.grants))
        except GatewayError as error:
            if not self._is_stuck:
                _log.warning("settlements wait to be booked", reason=error.reason)
            self._is_stuck = True
        except asyncio.CancelledError as error:
            if being_cancelled():
                raise
            _log.warning("settlements were cut off", **described(error))
        except Exception as error:
            # Whatever it is: what was used is not forgotten for it.
            _log.error("settlements could not be sent", **described(error))
        else:
            if self._is_stuck:
                _log.info("settlements are booked again")
            self._is_stuck = False
            return True
        return False

    def _tell_refused(self, results: Sequence[pb.SettleResult]) -> None:
        for result in results:
            if result.HasField("refusal"):
                _REFUSED.inc()
                _log.error("a settlement was refused", status=result.refusal.message)
