"""Group commit: what gathers while one batch is in flight goes out together as the next."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import structlog

from meshgate.runtime.cancellation import being_cancelled
from meshgate.runtime.errors import (
    DeadlineExceededError,
    GatewayError,
    ServiceUnavailableError,
)
from meshgate.runtime.telemetry import described

_log = structlog.get_logger("meshgate.batching")

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Batcher(Generic[Item, Outcome]):
    """Sends items in batches, one batch at a time, without waiting for more to come.

    Args:
        send: Sends a batch, within a deadline of its own, and returns an outcome for each item, in
            order. Must be idempotent: a batch that met ServiceUnavailableError is sent once more.
        most_items: The most items that go into one batch.

    Items of waiters that leave are sent all the same. Who leaves gives back what may be granted then.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]],
        most_items: int = 1000,
    ) -> None:
        self._send = send
        self._most_items = most_items
        self._waiting: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self._flight: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Outcome:
        """The item's own outcome.

        Raises:
            GatewayError: The batch failed, twice where that could help, or the one before did because
                nobody answered; an unexpected exception of `send` is an internal error.
        """
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly(), name="batch")
        return await outcome

    async def close(self) -> None:
        """Let what was submitted land."""
        if self._flight is not None:
            # Not awaited itself: whoever gives up on close() must not cancel what is in flight.
            await asyncio.wait([self._flight])

    async def _fly(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[: self._most_items]
                del self._waiting[: self._most_items]
                await self._land(batch)
        finally:
            self._flight = None
            # Empty, unless the flight itself was cancelled.
            _refuse(self._waiting, ServiceUnavailableError("the batch was given up"))
            self._waiting.clear()

    async def _land(self, batch: list[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        items = [item for item, _ in batch]
        try:
            outcomes = await self._sent(items)
        except GatewayError as error:
            _refuse(batch, error)
            if isinstance(error, ServiceUnavailableError | DeadlineExceededError):
                self._give_up_waiting(error)
            return
        except asyncio.CancelledError:
            # Either the process ends, or the call was cut off under us; nobody may wait for ever.
            _refuse(batch, ServiceUnavailableError("the batch was given up"))
            if being_cancelled():
                raise
            return
        except Exception as error:
            _log.error("a batch failed", **described(error))
            _refuse(batch, GatewayError("internal error"))
            return
        for (_, waiter), outcome in zip(batch, outcomes, strict=True):
            if not waiter.done():
                waiter.set_result(outcome)

    def _give_up_waiting(self, error: GatewayError) -> None:
        """Refuse what gathered meanwhile: nobody waits for the same silence a second time."""
        waiting, self._waiting = self._waiting, []
        _refuse(waiting, error)

    async def _sent(self, items: Sequence[Item]) -> Sequence[Outcome]:
        try:
            outcomes = await self._send(items)
        except ServiceUnavailableError:
            outcomes = await self._send(items)
        if len(outcomes) != len(items):
            raise GatewayError("internal error")
        return outcomes


def _refuse(batch: Iterable[tuple[object, asyncio.Future[Any]]], error: GatewayError) -> None:
    for _, waiter in batch:
        if not waiter.done():
            waiter.set_exception(error)
