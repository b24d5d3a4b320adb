"""Tells those who keep principals which of them have changed."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from meshgate.runtime.errors import ServiceUnavailableError

# More than this a watcher cannot have missed for any good reason.
MAXIMUM_PENDING = 10_000


class WatchClosedError(Exception):
    """No more changes will be told: the process drains."""


class Watch:
    """One watcher's view of the changes. What it has not fetched yet gathers, each id once."""

    def __init__(self, maximum_pending: int) -> None:
        self._maximum_pending = maximum_pending
        self._pending: set[str] = set()
        self._overflowed = False
        self._woken = asyncio.Event()
        self._closed = False

    async def next(self, within_seconds: float) -> frozenset[str]:
        """The principals that changed since the last call, or none if nothing does in that time.

        Raises:
            ServiceUnavailableError: More has changed than is kept for a slow watcher. It must
                watch again, and trust nothing that it kept.
            WatchClosedError: The process drains.
        """
        try:
            async with asyncio.timeout(within_seconds):
                await self._woken.wait()
        except TimeoutError:
            return frozenset()
        if self._closed:
            raise WatchClosedError
        if self._overflowed:
            raise ServiceUnavailableError(
                "too many principals changed for this watch: watch again", retry_after_seconds=0.1
            )
        changed, self._pending = frozenset(self._pending), set()
        self._woken.clear()
        return changed

    def add(self, principal_ids: Iterable[str]) -> None:
        """Tell of changes. Past the bound nothing more is kept."""
        if not self._overflowed:
            self._pending.update(principal_ids)
        if len(self._pending) > self._maximum_pending:
            self.overflow()
        self._woken.set()

    def overflow(self) -> None:
        """Tell that more has changed than can be named."""
        self._overflowed = True
        self._pending.clear()
        self._woken.set()

    def close(self) -> None:
        """Let the watcher go."""
        self._closed = True
        self._woken.set()


class PrincipalChanges:
    """Passes changes on to every watcher. Lives in one event loop."""

    def __init__(self, maximum_pending: int = MAXIMUM_PENDING) -> None:
        self._maximum_pending = maximum_pending
        self._watches: set[Watch] = set()
        self._closed = False

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """A watch of everything that is published from now on."""
        watch = Watch(self._maximum_pending)
        if self._closed:
            watch.close()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    def publish(self, principal_ids: frozenset[str]) -> None:
        """Tell every watcher. Call it after `find` answers with the new state."""
        for watch in self._watches:
            watch.add(principal_ids)

    def publish_everything(self) -> None:
        """Tell every watcher that it knows nothing any more."""
        for watch in self._watches:
            watch.overflow()

    def close(self) -> None:
        """End all watches, now and to come: they would otherwise hold up a drain."""
        self._closed = True
        for watch in self._watches:
            watch.close()
