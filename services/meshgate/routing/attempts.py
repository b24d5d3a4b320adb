"""Attempts at the targets of a plan: retries, backoff and fallbacks, before the first byte."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

import structlog
from msgspec import Struct

from meshgate.config.snapshot import Retries, Target
from meshgate.routing.failure import OF_THE_REQUEST, OF_THE_TARGET, Failure
from meshgate.routing.planning import Draw, Plan
from meshgate.routing.question import Question
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import DeadlineExceededError, GatewayError

_log = structlog.get_logger("meshgate.routing")

# Timers ring up to a millisecond early.
_LEAST_SECONDS = 0.005
LEAST_SECONDS_AGAIN = 0.025
"""What an attempt that ran out of time leaves, or less: it is no time for another one.

Provider gives up 20 ms before the deadline, so that its answer still comes.
"""

Answer = TypeVar("Answer")

Execute = Callable[[Question, Plan, Target], Awaitable[Answer | Failure]]
"""Makes one attempt, with a deadline inside the caller's."""


class Answered(Struct, Generic[Answer], frozen=True):
    """The first good answer, or the first good beginning of one.

    Attributes:
        answer: What came back.
        model: The public name of the model that answered: the one asked for, or a fallback.
        target: Who gave it.
        attempts: How many it took.
    """

    answer: Answer
    model: str
    target: Target
    attempts: int


class Attempts:
    """Tries the targets of plans until one answers.

    Args:
        sleep: Waits for so many seconds.
        draw: The source of chance for the jitter.
        now: The monotonic clock.
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Draw = random.random,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._draw = draw
        self._now = now

    async def first_good(
        self, question: Question, plans: Iterable[Plan], execute: Execute[Answer]
    ) -> Answered[Answer]:
        """The first good answer: from the model that was asked for, else from its fallbacks.

        Raises:
            GatewayError: Nobody answered; says what the last attempt met.
        """
        count = 0
        error = GatewayError("internal error")
        for plan in plans:
            tries = _Tries(plan, self._draw, self._now)
            while (target := tries.next()) is not None:
                least_seconds = LEAST_SECONDS_AGAIN if count else _LEAST_SECONDS
                _check_time(question.arrival.deadline, least_seconds)
                count += 1
                result = await execute(question, plan, target)
                if not isinstance(result, Failure):
                    return Answered(result, plan.model.name, target, count)
                _tell(question, target, result, count)
                error = result.as_error(plan.model.name, count)
                if result.kind in OF_THE_REQUEST:
                    raise error
                tries.failed(target, result)
                if pause_seconds := tries.pause_seconds():
                    if pause_seconds >= question.arrival.deadline.seconds_left():
                        break  # nobody would be there any more; a fallback needs no pause
                    await self._sleep(pause_seconds)
        raise error


class _Tries:
    """Whose turn it is, within one plan: those not tried yet, then the others once more, in order."""

    def __init__(self, plan: Plan, draw: Draw, now: Callable[[], float]) -> None:
        self._retries: Retries = plan.model.retries
        self._draw = draw
        self._now = now
        self._queue = deque(plan.targets)
        self._left = self._retries.attempts
        self._failures: dict[Target, int] = {}
        self._ready_at: dict[Target, float] = {}

    def next(self) -> Target | None:
        """The target to try; None when there is nothing more to try here."""
        if not self._left or not self._queue:
            return None
        self._left -= 1
        return self._queue.popleft()

    def failed(self, target: Target, failure: Failure) -> None:
        """Take note of a failure: of whether there is a next try, of this target or of another.

        A target that asks for a longer pause than the model's retries allow is not tried again.
        """
        asked_seconds = failure.retry_after_seconds or 0.0
        if failure.kind in OF_THE_TARGET:
            self._queue = deque(other for other in self._queue if not _same(other, target))
        elif failure.kind not in self._retries.on:
            self._left = 0
        elif asked_seconds <= self._retries.backoff_max_seconds:
            self._queue.append(target)
            self._failures[target] = self._failures.get(target, 0) + 1
            self._ready_at[target] = self._now() + asked_seconds

    def pause_seconds(self) -> float:
        """The seconds to wait before the next try: none before a target that was not tried yet."""
        if not self._left or not self._queue or self._queue[0] not in self._failures:
            return 0.0
        target = self._queue[0]
        asked_seconds = self._ready_at[target] - self._now()
        return max(self._backoff_seconds(self._failures[target]), asked_seconds)

    def _backoff_seconds(self, failures: int) -> float:
        """Exponential in the failures of the target, with full jitter."""
        retries = self._retries
        longest = retries.backoff_initial_seconds * 2.0 ** (failures - 1)
        return min(longest, retries.backoff_max_seconds) * self._draw()


def _check_time(deadline: Deadline, least_seconds: float) -> None:
    if deadline.seconds_left() < least_seconds:
        raise DeadlineExceededError("the deadline of the request has passed")


def _same(one: Target, other: Target) -> bool:
    return (one.provider, one.model) == (other.provider, other.model)


def _tell(question: Question, target: Target, failure: Failure, count: int) -> None:
    _log.warning(
        "attempt failed",
        request_id=question.arrival.request_id,
        model=question.head.model,
        provider=target.provider,
        kind=failure.kind,
        upstream_status=failure.upstream_status,
        attempt=count,
    )
