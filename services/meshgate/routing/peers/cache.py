"""Answers that are kept: the caller's side of CacheService. Fails open, within milliseconds."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from msgspec import Struct

from meshgate.routing.arrival import new_context
from meshgate.routing.question import Question
from meshgate.runtime.batching import Batcher
from meshgate.runtime.breaker import Breaker
from meshgate.runtime.counts import LabelledCounts
from meshgate.runtime.duration import duration
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.status import error_of_call
from meshgate.v1 import cache_service_pb2 as pb
from meshgate.v1 import cache_service_pb2_grpc as rpc
from meshgate.v1.call_context_pb2 import CallContext

_log = structlog.get_logger("meshgate.routing")

_MOST_LOOKUPS = 256
_MOST_TOGETHER = 64
_STORE_SECONDS = 2.0

LOOKUPS = LabelledCounts(
    "meshgate_cache_lookups", "Requests for models with a cache, by what it said.", "outcome"
)
_STORES = LabelledCounts(
    "meshgate_cache_stores", "Answers that were to be kept, by what became of them.", "outcome"
)


class Bounds(Struct, frozen=True):
    """How much is kept at a time, in answers and in bytes.

    Attributes:
        waiting: As many may wait to be sent; what is more is dropped.
        waiting_bytes: And as large may they be together.
        batch: As many go together,
        batch_bytes: as far as they are not larger than that.
    """

    waiting: int = 1_000
    waiting_bytes: int = 32 << 20
    batch: int = 64
    batch_bytes: int = 8 << 20


class Place(Struct, frozen=True):
    """Where an answer lies.

    Attributes:
        partition: Whose answers it is among.
        fingerprint: What makes two questions the same.
    """

    partition: str
    fingerprint: bytes


class Answers(Protocol):
    """What keeps answers."""

    async def find(
        self, question: Question, place: Place, max_age_seconds: int | None
    ) -> pb.CacheEntry | None:
        """The answer that is kept, if there is one that is no older than that."""
        ...

    async def find_all(
        self, question: Question, places: Sequence[Place], max_age_seconds: int | None
    ) -> list[pb.CacheEntry | None]:
        """The same of several answers to one question, in order."""
        ...

    def keep(
        self, question: Question, place: Place, entry: pb.CacheEntry, ttl_seconds: float
    ) -> None:
        """Keep an answer, some time soon, if possible. Never waits."""
        ...


class NoAnswers:
    """Keeps nothing: there is no cache service."""

    async def find(self, *_: object) -> None:
        return None

    async def find_all(
        self, _question: Question, places: Sequence[Place], _max_age_seconds: int | None
    ) -> list[pb.CacheEntry | None]:
        return [None] * len(places)

    def keep(self, *_: object) -> None:
        return None


class Cache:
    """Keeps answers in the cache service.

    What it takes is on its way for a moment, and found there already. When the service does not
    answer, it is left alone for a while, and every lookup is a miss at once.

    Args:
        channel: To cache.
        lookup_seconds: How long a lookup may take.
        breaker: Knows whether the service answers.
        now: Seconds since 1970.
        bounds: How much is kept at a time.
    """

    def __init__(
        self,
        channel: Any,
        lookup_seconds: float,
        breaker: Breaker | None = None,
        now: Callable[[], float] = time.time,
        bounds: Bounds | None = None,
    ) -> None:
        self._stub: Any = rpc.CacheServiceStub(channel)
        self._lookup_seconds = lookup_seconds
        self._breaker = breaker or Breaker()
        self._now = now
        self._bounds = bounds or Bounds()
        self._lookups: Batcher[pb.CacheLookupItem, pb.CacheEntry | None] = Batcher(
            self._send_lookups, most_items=_MOST_LOOKUPS
        )
        self._waiting: deque[pb.CacheStoreItem] = deque()
        self._waiting_bytes = 0
        self._on_the_way: dict[Place, pb.CacheEntry] = {}
        self._has_come = asyncio.Event()

    async def find(
        self, question: Question, place: Place, max_age_seconds: int | None
    ) -> pb.CacheEntry | None:
        """The answer that is kept; None where there is none, or nobody says in time."""
        entry = self._coming(place, max_age_seconds)
        if entry is not None or not self._breaker.allows():
            return entry
        try:
            async with asyncio.timeout(self._lookup_seconds):
                return await self._lookups.submit(_lookup(question, place, max_age_seconds))
        except (TimeoutError, GatewayError):
            return None

    async def find_all(
        self, question: Question, places: Sequence[Place], max_age_seconds: int | None
    ) -> list[pb.CacheEntry | None]:
        """The answers that are kept at several places (each once), in order.

        They are looked for few at a time, so that many large ones do not take longer than one lookup
        may. What comes after a lookup that nobody answers in time is not looked for.
        """
        if len(places) == 1:  # together with those of others
            return [await self.find(question, places[0], max_age_seconds)]
        found = {place: self._coming(place, max_age_seconds) for place in places}
        missing = [place for place, entry in found.items() if entry is None]
        for first in range(0, len(missing), _MOST_TOGETHER):
            some = missing[first : first + _MOST_TOGETHER]
            items = [_lookup(question, place, max_age_seconds) for place in some]
            entries = await self._looked_up(items) if self._breaker.allows() else None
            if entries is None:
                break
            found.update(zip(some, entries, strict=True))
        return [found[place] for place in places]

    def keep(
        self, question: Question, place: Place, entry: pb.CacheEntry, ttl_seconds: float
    ) -> None:
        """Keep an answer, if not too many are on their way."""
        size = len(entry.body)
        if (
            self._breaker.is_open
            or len(self._waiting) >= self._bounds.waiting
            or self._waiting_bytes + size > self._bounds.waiting_bytes
        ):
            _STORES.of("dropped").value += 1
            return
        item = pb.CacheStoreItem(
            context=_context(question),
            partition=place.partition,
            fingerprint=place.fingerprint,
            entry=entry,
            ttl=duration(ttl_seconds),
        )
        self._waiting.append(item)
        self._waiting_bytes += size
        self._on_the_way[place] = entry
        self._has_come.set()

    async def store(self) -> None:
        """Send what is to be kept, as it comes, without end."""
        while True:
            await self._has_come.wait()
            self._has_come.clear()
            while self._waiting:
                await self._send_stores(self._next_stores())

    def _coming(self, place: Place, max_age_seconds: int | None) -> pb.CacheEntry | None:
        """The answer that is on its way to this place, if it will do."""
        entry = self._on_the_way.get(place)
        return entry if entry is not None and self._is_fresh(entry, max_age_seconds) else None

    def _is_fresh(self, entry: pb.CacheEntry, max_age_seconds: int | None) -> bool:
        if max_age_seconds is None:
            return True
        return self._now() - entry.create_time.ToNanoseconds() / 1e9 <= max_age_seconds

    async def _send_lookups(
        self, items: Sequence[pb.CacheLookupItem]
    ) -> Sequence[pb.CacheEntry | None]:
        return await self._looked_up(items) or [None] * len(items)

    async def _looked_up(
        self, items: Sequence[pb.CacheLookupItem]
    ) -> list[pb.CacheEntry | None] | None:
        """What the service has, in order; None where it does not say."""
        was_open = self._breaker.is_open
        try:
            response = await self._stub.BatchLookup(
                pb.BatchLookupRequest(items=items), timeout=self._lookup_seconds
            )
            entries = _hits(response, len(items))
        except (grpc.aio.AioRpcError, GatewayError) as error:
            # Fail open: without answers that are kept there are still those of the upstreams.
            self._breaker.failed()
            if self._breaker.is_open and not was_open:
                _log.warning("the cache does not answer: every lookup is a miss", **_told(error))
            return None
        self._breaker.succeeded()
        if was_open:
            _log.info("the cache answers again")
        return entries

    def _next_stores(self) -> list[pb.CacheStoreItem]:
        """What goes together: few enough, and small enough."""
        batch = [self._waiting.popleft()]
        size = len(batch[0].entry.body)
        while self._waiting and len(batch) < self._bounds.batch:
            size += len(self._waiting[0].entry.body)
            if size > self._bounds.batch_bytes:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _send_stores(self, batch: Sequence[pb.CacheStoreItem]) -> None:
        try:
            response = await self._stub.BatchStore(
                pb.BatchStoreRequest(items=batch), timeout=_STORE_SECONDS
            )
            for result in response.results:
                _STORES.of(result.WhichOneof("outcome") or "failed").value += 1
        except (grpc.aio.AioRpcError, GatewayError):
            # Fail open: nothing but a later hit is lost.
            _STORES.of("failed").value += len(batch)
        finally:
            for item in batch:
                self._waiting_bytes -= len(item.entry.body)
                place = Place(item.partition, item.fingerprint)
                self._on_the_way.pop(place, None)


def _lookup(question: Question, place: Place, max_age_seconds: int | None) -> pb.CacheLookupItem:
    return pb.CacheLookupItem(
        context=_context(question),
        partition=place.partition,
        fingerprint=place.fingerprint,
        max_age=None if max_age_seconds is None else Duration(seconds=max_age_seconds),
    )


def _hits(response: pb.BatchLookupResponse, count: int) -> list[pb.CacheEntry | None]:
    """What was found for each of so many lookups.

    Raises:
        GatewayError: There are more results, or fewer: nobody can say which is whose.
    """
    if len(response.results) != count:
        raise GatewayError("the cache answered another number of lookups than it was asked")
    return [result.hit if result.HasField("hit") else None for result in response.results]


def _context(question: Question) -> CallContext:
    """On whose behalf. Without the time that is left: it may be over when an answer is to be kept."""
    context = new_context(question.principal.principal_id, question.revision)
    context.request_id = question.arrival.request_id
    return context


def _told(error: grpc.aio.AioRpcError | GatewayError) -> dict[str, str]:
    if isinstance(error, GatewayError):
        return {"reason": error.reason}
    return {"reason": error_of_call(error, "cache").reason}
