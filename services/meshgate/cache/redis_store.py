"""Answers in Redis, or in what speaks like it.

A partition has a generation, a random word of its own key. An answer is stored with the generation in
which it was made, and is found only while that is still the partition's: to forget a partition is to
give it another. A generation that was evicted is never made again, so that what had been forgotten
stays forgotten.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import redis.asyncio as redis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from meshgate.cache.entries import Kept, Place
from meshgate.runtime.breaker import Breaker
from meshgate.runtime.errors import ServiceUnavailableError

_log = structlog.get_logger("meshgate.cache")

Result = TypeVar("Result")
NewGeneration = Callable[[], bytes]

_GENERATION_BYTES = 16
_GENERATION_MILLISECONDS = 30 * 24 * 3600 * 1000
_LONGEST_MILLISECONDS = 366 * 24 * 3600 * 1000


def new_generation() -> bytes:
    """A word that no partition had before."""
    return secrets.token_bytes(_GENERATION_BYTES)


class RedisEntryStore:
    """An `EntryStore` that gives up soon, and does not ask a server that does not answer.

    Args:
        client: Gives and takes bytes.
        find_seconds: How long a lookup may take.
        keep_seconds: How long all else may take.
        breaker: Knows whether the server answers.
        generation: Makes generations.
    """

    def __init__(
        self,
        client: "redis.Redis",
        find_seconds: float,
        keep_seconds: float,
        breaker: Breaker | None = None,
        generation: NewGeneration = new_generation,
    ) -> None:
        # Its types differ from release to release.
        self._client: Any = client
        self._find_seconds = find_seconds
        self._keep_seconds = keep_seconds
        self._breaker = breaker or Breaker()
        self._generation = generation

    async def find(self, places: Sequence[Place]) -> list[bytes | None]:
        """What is kept at each of these places: one command, so that nothing comes in between."""
        keys = [key for place in places for key in (_generation_key(place.partition), _key(place))]
        found = await self._bounded(lambda: self._client.mget(keys), self._find_seconds)
        return [
            _entry(generation, stored)
            for generation, stored in zip(found[::2], found[1::2], strict=True)
        ]

    async def keep(self, items: Sequence[Kept]) -> None:
        """Keep each in place of what was there before."""
        await self._bounded(lambda: self._keep(items), self._keep_seconds)

    async def forget(self, partition: str) -> None:
        """Give the partition another generation."""
        await self._bounded(
            lambda: self._client.set(
                _generation_key(partition), self._generation(), px=_GENERATION_MILLISECONDS
            ),
            self._keep_seconds,
        )

    @property
    def is_away(self) -> bool:
        """Whether it has not answered lately, and is not asked for now."""
        return self._breaker.is_open

    async def look(self) -> None:
        """See whether a server that was left alone answers again.

        This is given more time than a lookup, so that one that takes long to connect to is found.
        """
        if self._breaker.is_open:
            await self._try()

    async def open(self) -> None:
        """Connect, if the server is there."""
        await self._try()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _try(self) -> None:
        with contextlib.suppress(ServiceUnavailableError):
            await self._run(self._client.ping, self._keep_seconds)

    async def _keep(self, items: Sequence[Kept]) -> None:
        partitions = list(dict.fromkeys(item.place.partition for item in items))
        async with self._client.pipeline(transaction=False) as pipeline:
            for partition in partitions:
                key = _generation_key(partition)
                pipeline.set(key, self._generation(), nx=True, px=_GENERATION_MILLISECONDS)
                pipeline.get(key)
            generations = dict(zip(partitions, (await pipeline.execute())[1::2], strict=True))
            for item in items:
                generation = generations[item.place.partition]
                if generation is not None:  # else it was evicted at once: there is no room
                    milliseconds = max(1, round(item.ttl_seconds * 1_000))
                    pipeline.set(
                        _key(item.place),
                        generation + item.entry,
                        px=min(milliseconds, _LONGEST_MILLISECONDS),
                    )
            await pipeline.execute()

    async def _bounded(self, work: Callable[[], Awaitable[Result]], seconds: float) -> Result:
        """Do some work, unless the server has not answered for a while.

        Raises:
            ServiceUnavailableError: It does not answer.
        """
        if not self._breaker.allows():
            raise _unavailable()
        return await self._run(work, seconds)

    async def _run(self, work: Callable[[], Awaitable[Result]], seconds: float) -> Result:
        """The same, whether or not it has answered before."""
        try:
            async with asyncio.timeout(seconds):
                result = await work()
        except (RedisError, OSError, TimeoutError) as error:
            was_open = self._breaker.is_open
            self._breaker.failed()
            if self._breaker.is_open and not was_open:
                _log.warning(
                    "the store does not answer: every lookup is a miss", kind=type(error).__name__
                )
            raise _unavailable() from None
        if self._breaker.is_open:
            _log.info("the store answers again")
        self._breaker.succeeded()
        return result


def connected(url: str, find_seconds: float) -> "redis.Redis":
    """A client for a server; connects when it is first used, and again whenever it must.

    Raises:
        ValueError: The URL cannot be understood. The text may repeat it.
    """
    client: redis.Redis = redis.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        # Connecting may take longer than a lookup: it goes on in the time of what stores.
        socket_connect_timeout=max(1.0, find_seconds),
    )
    return client


def _generation_key(partition: str) -> bytes:
    return b"g:" + partition.encode()


def _key(place: Place) -> bytes:
    partition = place.partition.encode()
    return b"e:%d:%b:%b" % (len(partition), partition, place.fingerprint)


def _entry(generation: bytes | None, stored: bytes | None) -> bytes | None:
    if generation is None or stored is None or not stored.startswith(generation):
        return None
    return stored[len(generation) :]


def _unavailable() -> ServiceUnavailableError:
    return ServiceUnavailableError(
        "the store of the cache does not answer", retry_after_seconds=1, service="cache"
    )
