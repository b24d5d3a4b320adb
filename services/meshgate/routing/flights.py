"""Single flight: of several that want the same at the same time, one fetches it for all."""

import asyncio
import enum
from collections.abc import Hashable
from types import TracebackType
from typing import Generic, Self, TypeVar

from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import DeadlineExceededError

Value = TypeVar("Value")


class Ending(enum.Enum):
    """How a flight ended that brought nothing."""

    LEFT = "left"  # nobody waits for it any more: another may fly
    FAILED = "failed"  # it may well fail again: each goes alone


class Flight(Generic[Value]):
    """The fetching of one thing. A context manager of whoever fetches, who lands it inside."""

    def __init__(self, flights: "Flights[Value]", key: Hashable) -> None:
        self._flights = flights
        self._key = key
        self.outcome: asyncio.Future[Value | Ending] = asyncio.get_running_loop().create_future()

    def land(self, value: Value | None) -> None:
        """Give what was fetched to all who wait; None where it is for nobody else."""
        self._end(Ending.FAILED if value is None else value)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        has_left = isinstance(error, asyncio.CancelledError | DeadlineExceededError)
        self._end(Ending.LEFT if has_left else Ending.FAILED)

    def _end(self, outcome: Value | Ending) -> None:
        if not self.outcome.done():
            self._flights.forget(self._key)
            self.outcome.set_result(outcome)


class Flights(Generic[Value]):
    """The flights of this process."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight[Value]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def join(self, key: Hashable, deadline: Deadline) -> Value | Flight[Value] | None:
        """Wait for what another fetches, or begin to fetch it.

        When the one who fetches leaves, the first of those who wait goes on, and the others wait for
        that one. When the fetching fails, or brings what is for one only, all go on.

        Returns:
            What another has fetched; a flight, which the caller must enter at once; or None where the
            caller is to go alone.

        Raises:
            DeadlineExceededError: It did not come in time.
        """
        while (flight := self._flights.get(key)) is not None:
            outcome = await _awaited(flight.outcome, deadline)
            if not isinstance(outcome, Ending):
                return outcome
            if outcome is Ending.FAILED:
                return None
        flight = self._flights[key] = Flight(self, key)
        return flight

    def forget(self, key: Hashable) -> None:
        """A flight has ended."""
        del self._flights[key]


async def _awaited(outcome: "asyncio.Future[Value]", deadline: Deadline) -> Value:
    try:
        # Shielded: whoever leaves takes nothing from the others.
        return await asyncio.wait_for(asyncio.shield(outcome), deadline.seconds_left())
    except TimeoutError:
        raise DeadlineExceededError("the deadline of the request has passed") from None
