"""Attempts at the targets of a plan: retries, backoff and fallbacks, before the first byte."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from meshgate.config.snapshot import Retries, Target
from meshgate.routing.failure import OF_THE_REQUEST, OF_THE_TARGET, Failure
from meshgate.routing.planning import Draw, Plan
from meshgate.routing.question import Question
from meshgate.runtime.errors import GatewayError

_log = structlog.get_logger("meshgate.routing")

Answer = TypeVar("Answer")

Execute = Callable[[Question, Plan, Target], Awaitable[Answer | Failure]]
"""Makes one attempt, with a deadline inside the caller's."""


@dataclass(frozen=True, slots=True)
class Answered(Generic[Answer]):
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
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Draw = random.random,
    ) -> None:
        self._sleep = sleep
        self._draw = draw

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
            tries = _Tries(plan, self._draw)
            while (target := tries.next()) is not None:
                count += 1
                result = await execute(question, plan, target)
                if not isinstance(result, Failure):
                    return Answered(result, plan.model.name, target, count)
                _tell(question, target, result, count)
                error = result.as_error(plan.model.name, count)
                if result.kind in OF_THE_REQUEST:
                    raise error
                pause_seconds = tries.failed(target, result)
                if pause_seconds:
                    await self._sleep(pause_seconds)
        raise error


class _Tries:
    """Whose turn it is, within one plan."""

    def __init__(self, plan: Plan, draw: Draw) -> None:
        self._retries: Retries = plan.model.retries
        self._draw = draw
        self._targets = list(plan.targets)
        self._left = self._retries.attempts
        self._turn = 0

    def next(self) -> Target | None:
        """The target to try; None when there is nothing more to try here."""
        if not self._left or not self._targets:
            return None
        self._left -= 1
        return self._targets[self._turn % len(self._targets)]

    def failed(self, target: Target, failure: Failure) -> float:
        """Take note of a failure, and return the seconds to wait before the next try.

        There is no wait before a target that was not tried yet, and no next try of one that asks
        for a longer pause than the model's retries allow.
        """
        if failure.kind in OF_THE_TARGET:
            self._targets.remove(target)
        elif failure.kind in self._retries.on:
            self._turn += 1
        else:
            self._left = 0
        if not self._left or self._turn < len(self._targets):
            return 0.0
        asked_seconds = failure.retry_after_seconds or 0.0
        if asked_seconds > self._retries.backoff_max_seconds:
            self._left = 0
            return 0.0
        return max(self._backoff_seconds(), asked_seconds)

    def _backoff_seconds(self) -> float:
        """Exponential in the rounds over the targets, with full jitter."""
        retries = self._retries
        rounds = self._turn // max(1, len(self._targets)) - 1
        longest = min(retries.backoff_initial_seconds * 2.0**rounds, retries.backoff_max_seconds)
        return longest * self._draw()


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
