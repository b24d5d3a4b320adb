"""Makes counters again by itself, where the store was emptied."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from meshgate.quota.ledger.counter_store import CounterStore
from meshgate.quota.ledger.rebuilding import Rebuilding
from meshgate.runtime.errors import GatewayError

_log = structlog.get_logger("meshgate.quota.ledger")


class Recovery:
    """Looks for shards whose counters were lost, and makes them again from the ledger.

    Args:
        store: Has the counters.
        rebuilding: Makes them again.
        sleep: Waits for so many seconds. Tests give it.
    """

    def __init__(
        self,
        store: CounterStore,
        rebuilding: Rebuilding,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._rebuilding = rebuilding
        self._sleep = sleep
        self._has_lost = False
        self._is_failing = False

    def lacks(self) -> Sequence[str]:
        """What it could not do until now. A store that is away has lost nothing, as far as one knows."""
        failed = self._is_failing and self._has_lost
        return ("counters that were lost are not made again yet",) if failed else ()

    async def recover(self) -> int:
        """Make again what was lost, and tell in how many shards that was.

        Raises:
            ServiceUnavailableError: The store or the ledger does not answer, or too much waits.
        """
        lost = await self._store.lost()
        self._has_lost = bool(lost)
        if lost:
            await self._rebuilding.rebuild(shards=frozenset(lost))
            await self._store.make_whole(lost)
        return len(lost)

    async def keep_recovering(self, every_seconds: float) -> None:
        """Again and again, without end."""
        while True:
            try:
                await self.recover()
                self._is_failing = False
            except GatewayError as error:
                if not self._is_failing:
                    _log.warning("counters cannot be looked after", reason=error.message)
                self._is_failing = True
            await self._sleep(every_seconds)
