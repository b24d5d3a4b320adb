"""The cache service as a dictionary, that can be away and that says what it was asked."""

import asyncio
from typing import Any

from routing.fakes import channel_to

from meshgate.runtime.errors import GatewayError
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.service import Implementation
from meshgate.v1 import cache_service_pb2 as pb
from meshgate.v1.cache_service_pb2_grpc import CacheServiceServicer

CACHE = pb.DESCRIPTOR.services_by_name["CacheService"]


class FakeCache(CacheServiceServicer):
    """Keeps everything for ever.

    Attributes:
        failure: What it meets.
        open: Cleared, it does not answer.
        lookups: What was looked for.
        stores: What was to be kept.
        lookup_batches: How many lookups came together.
        missing_results: How many of the results of each batch are left out.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[str, bytes], pb.CacheEntry] = {}
        self.failure: GatewayError | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.lookup_batches: list[int] = []
        self.missing_results = 0
        self.lookups: list[pb.CacheLookupItem] = []
        self.stores: list[pb.CacheStoreItem] = []
        self.store_batches: list[int] = []

    def channel(self) -> InProcessChannel:
        return channel_to(Implementation(CACHE, self, internal=True))

    async def BatchLookup(self, request: Any, context: Any) -> Any:
        self.lookups += request.items
        self.lookup_batches.append(len(request.items))
        await self._meet()
        answered = request.items[self.missing_results :]
        return pb.BatchLookupResponse(results=[self._found(item) for item in answered])

    async def BatchStore(self, request: Any, context: Any) -> Any:
        self.store_batches.append(len(request.items))
        await self._meet()
        for item in request.items:
            self.stores.append(item)
            self.entries[item.partition, item.fingerprint] = item.entry
        results = [pb.CacheStoreResult(stored={}) for _ in request.items]
        return pb.BatchStoreResponse(results=results)

    async def PurgeEntries(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def _meet(self) -> None:
        await self.open.wait()
        if self.failure is not None:
            raise self.failure

    def _found(self, item: Any) -> Any:
        entry = self.entries.get((item.partition, item.fingerprint))
        return pb.CacheLookupResult(hit=entry) if entry else pb.CacheLookupResult(miss={})
