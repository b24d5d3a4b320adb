"""What expires, and is fetched anew in time by one task for all who ask."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from meshgate.provider.failures import AttemptFailedError, Failure, FailureKind

_log = structlog.get_logger("meshgate.provider")

T = TypeVar("T")

# Well before the end, so that one that fails can be tried again; shorter lives are halved.
_AHEAD_SECONDS = 300.0
_PAUSE_SECONDS = 10.0
# Where nothing can be done without it, those who ask meanwhile get the failure there was.
_SHORT_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Lasting(Generic[T]):
    """A value, and how many seconds it is good for from now on."""

    value: T = field(repr=False)
    seconds: float


class Expiring(Generic[T]):
    """Keeps a value that expires.

    It is fetched anew some minutes ahead of its end, beside the requests, which go on with the one
    there is; only where there is none that holds they wait. However many ask, there is one fetch. One
    that fails changes nothing as long as the old value holds, and is tried again a little later.

    Args:
        fetch: Fetches a value, or raises AttemptFailedError.
        now: Seconds on a clock that does not go back.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Lasting[T]]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._value: T | None = None
        self._ends_at = -math.inf
        self._renew_at = -math.inf
        self._failure = Failure(FailureKind.AUTHENTICATION, "")
        self._task: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """The value.

        Raises:
            AttemptFailedError: There is none at the moment.
        """
        now = self._now()
        value = self._value if now < self._ends_at else None
        if now >= self._renew_at:
            task = self._renewal()
            if value is None:
                # Whoever gives up waiting does not end it for the others.
                await asyncio.shield(task)
                value = self._value
        if value is None:
            raise AttemptFailedError(self._failure)
        return value

    async def close(self) -> None:
        """End a fetch that is under way."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _renewal(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._renew())
        return self._task

    async def _renew(self) -> None:
        """Fetch a value; a failure is kept, for nobody may be waiting for it."""
        try:
            fetched = await self._fetch()
        except AttemptFailedError as error:
            now = self._now()
            self._failure = error.failure
            holds = now < self._ends_at
            self._value = self._value if holds else None
            self._renew_at = now + (_PAUSE_SECONDS if holds else _SHORT_PAUSE_SECONDS)
            _log.warning("credential not renewed", reason=error.failure.kind.value)
            return
        now = self._now()
        self._value = fetched.value
        self._ends_at = now + fetched.seconds
        self._renew_at = self._ends_at - min(_AHEAD_SECONDS, fetched.seconds / 2)
