"""Group commit: what gathers while one batch is in flight goes out together as the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from meshgate.runtime.errors import GatewayError, ServiceUnavailableError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Batcher(Generic[Item, Outcome]):
    """Sends items in batches, one batch at a time, without waiting for more to come.

    Args:
        send: Sends a batch, within a deadline of its own, and returns an outcome for each item, in
            order. Must be idempotent: a batch that met ServiceUnavailableError is sent once more.
        release: Told of each outcome whose waiter has left, to give back what was granted.
        most_items: The most items that go into one batch.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]],
        release: Callable[[Item, Outcome], None] | None = None,
        most_items: int = 1000,
    ) -> None:
        self._send = send
        self._release = release
        self._most_items = most_items
        self._waiting: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self._flight: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Outcome:
        """The item's own outcome.

        Raises:
            GatewayError: The batch failed, twice where that could help.
        """
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly(), name="batch")
        return await outcome

    async def close(self) -> None:
        """Let what was submitted land."""
        if self._flight is not None:
            await self._flight

    async def _fly(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[: self._most_items]
                del self._waiting[: self._most_items]
                await self._land(batch)
        finally:
            self._flight = None

    async def _land(self, batch: list[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        items = [item for item, _ in batch]
        try:
            outcomes = await self._sent(items)
        except GatewayError as error:
            for _, waiter in batch:
                if not waiter.done():
                    waiter.set_exception(error)
            return
        for (item, waiter), outcome in zip(batch, outcomes, strict=True):
            if not waiter.done():
                waiter.set_result(outcome)
            elif self._release is not None:
                self._release(item, outcome)

    async def _sent(self, items: Sequence[Item]) -> Sequence[Outcome]:
        try:
            outcomes = await self._send(items)
        except ServiceUnavailableError:
            outcomes = await self._send(items)
        if len(outcomes) != len(items):
            raise GatewayError("internal error")
        return outcomes
