"""CacheService: proto to entries and back."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from google.rpc import status_pb2

from meshgate.cache.entries import EntryStore, Kept, Place, check_partition, is_fresh
from meshgate.runtime.duration import seconds_of
from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.status import status_of
from meshgate.v1 import cache_service_pb2 as pb
from meshgate.v1.cache_service_pb2_grpc import CacheServiceServicer

MAXIMUM_ITEMS = 256
MAXIMUM_ANSWER_BYTES = 32 << 20
"""What the answers to one batch may take together; those beyond are misses."""


class CacheServicer(CacheServiceServicer):
    """Answers from a store.

    Args:
        store: Keeps answers.
        maximum_entry_bytes: The largest that is kept.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        store: EntryStore,
        maximum_entry_bytes: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._maximum_entry_bytes = maximum_entry_bytes
        self._now = now

    async def BatchLookup(
        self, request: pb.BatchLookupRequest, context: Any
    ) -> pb.BatchLookupResponse:
        _check_count(len(request.items))
        places = [Place(item.partition, item.fingerprint) for item in request.items]
        refusals = _refusals(place.check for place in places)
        good = [place for place, refusal in zip(places, refusals, strict=True) if refusal is None]
        found = iter(await self._store.find(good) if good else ())
        response = pb.BatchLookupResponse()
        answered_bytes = 0
        for item, refusal in zip(request.items, refusals, strict=True):
            result = response.results.add()
            if refusal is not None:
                result.refusal.CopyFrom(refusal)
                continue
            stored = next(found)
            answered_bytes += len(stored or b"")
            if stored is None or answered_bytes > MAXIMUM_ANSWER_BYTES:
                result.miss.SetInParent()
            else:
                self._tell(result, item, stored)
        return response

    async def BatchStore(
        self, request: pb.BatchStoreRequest, context: Any
    ) -> pb.BatchStoreResponse:
        _check_count(len(request.items))
        items = [
            Kept(
                Place(item.partition, item.fingerprint),
                item.entry.SerializeToString(),
                seconds_of(item.ttl),
            )
            for item in request.items
        ]
        most = self._maximum_entry_bytes
        refusals = _refusals(partial(item.check, most) for item in items)
        good = [item for item, refusal in zip(items, refusals, strict=True) if refusal is None]
        if good:
            await self._store.keep(good)
        return pb.BatchStoreResponse(results=[_stored(refusal) for refusal in refusals])

    async def PurgeEntries(
        self, request: pb.PurgeEntriesRequest, context: Any
    ) -> pb.PurgeEntriesResponse:
        check_partition(request.partition)
        await self._store.forget(request.partition)
        return pb.PurgeEntriesResponse()

    def _tell(self, result: pb.CacheLookupResult, item: pb.CacheLookupItem, stored: bytes) -> None:
        entry = pb.CacheEntry.FromString(stored)
        age_seconds = self._now() - entry.create_time.ToNanoseconds() / 1e9
        if is_fresh(age_seconds, seconds_of(item.max_age) if item.HasField("max_age") else None):
            result.hit.CopyFrom(entry)
        else:
            result.miss.SetInParent()


def _check_count(count: int) -> None:
    if count > MAXIMUM_ITEMS:
        raise InvalidRequestError(
            f"{count} items are more than the {MAXIMUM_ITEMS} that a batch may have",
            field="items",
            count=str(count),
            limit=str(MAXIMUM_ITEMS),
        )


def _refusals(checks: Iterable[Callable[[], None]]) -> Sequence[status_pb2.Status | None]:
    """For each item why it is refused, alone; None where it is not."""
    return [_refusal(check) for check in checks]


def _refusal(check: Callable[[], None]) -> status_pb2.Status | None:
    try:
        check()
    except InvalidRequestError as error:
        return status_of(error)
    return None


def _stored(refusal: status_pb2.Status | None) -> pb.CacheStoreResult:
    if refusal is not None:
        return pb.CacheStoreResult(refusal=refusal)
    return pb.CacheStoreResult(stored=pb.CacheStored())
