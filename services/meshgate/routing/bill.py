"""What a request has cost its caller, as its answer tells it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from meshgate.dialects.neutral import Usage
from meshgate.routing.metered_attempt import MeteredAttempt
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import DeadlineExceededError


class Bill:
    """The bill of one request: the same charges that are booked. To be read once the answer is whole.

    Args:
        attempts: All attempts of the request, whatever came of them.
        deadline: How long its caller waits.

    Attributes:
        counting: Counts what the last attempt used, where its upstream did not report it.
    """

    __slots__ = ("_attempts", "_deadline", "counting")

    def __init__(self, attempts: Sequence[MeteredAttempt], deadline: Deadline) -> None:
        self._attempts = attempts
        self._deadline = deadline
        self.counting: asyncio.Task[None] | None = None

    async def cost_nanos(self) -> int | None:
        """What all attempts have cost together; None where the cost of any of them is not known."""
        if self.counting is not None:
            if self._attempts[-1].target.prices is None:
                return None  # however much it is
            await self._counted()
            if not self.counting.done():
                return None
        cost = 0
        for attempt in self._attempts:
            consumed = attempt.consumption
            if consumed is None:
                continue
            if consumed.cost_nanos is None:
                return None
            cost += consumed.cost_nanos
        return cost

    async def usage(self) -> Usage | None:
        """What the last attempt used; None where there was none, or nobody knows in time."""
        await self._counted()
        consumed = self._attempts[-1].consumption if self._attempts else None
        return None if consumed is None else consumed.usage

    async def _counted(self) -> None:
        """Wait for the counting, if there is any, as long as the caller waits."""
        if self.counting is None or self.counting.done():
            return
        with suppress(DeadlineExceededError):
            await asyncio.wait((self.counting,), timeout=self._deadline.seconds_left())
