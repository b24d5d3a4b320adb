"""Runs an attempt at the provider that it is for, and remembers how it went."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

from meshgate.provider.attempt import Answer, Attempt, Step
from meshgate.provider.failures import AttemptFailedError, Failure
from meshgate.provider.targets import Targets
from meshgate.provider.upstreams import Upstreams

Outcome: TypeAlias = Answer | Failure


class Execution:
    """Makes attempts. What an upstream does wrong is a result here, not an exception."""

    def __init__(self, upstreams: Upstreams, targets: Targets) -> None:
        self._upstreams = upstreams
        self._targets = targets

    async def answer(self, provider: str, attempt: Attempt) -> Outcome:
        """What came of an attempt at a plain answer.

        Raises:
            RevisionBehindError: The provider is not known here.
            InvalidRequestError: The request cannot be read.
            UnsupportedError: The request cannot be expressed for the provider.
        """
        upstream = self._upstreams.find(provider)
        try:
            answer = await upstream.answer(attempt)
        except AttemptFailedError as error:
            self._targets.failed(provider, attempt.model, error.failure.kind)
            return error.failure
        self._targets.answered(provider, attempt.model)
        return answer

    async def stream(self, provider: str, attempt: Attempt) -> AsyncGenerator[Step | Failure, None]:
        """The steps of a streamed answer; a failure is the last one.

        Raises:
            RevisionBehindError: The provider is not known here.
            InvalidRequestError: The request cannot be read.
            UnsupportedError: The request cannot be expressed for the provider.
        """
        upstream = self._upstreams.find(provider)
        try:
            async with aclosing(upstream.stream(attempt)) as steps:
                async for step in steps:
                    yield step
        except AttemptFailedError as error:
            self._targets.failed(provider, attempt.model, error.failure.kind)
            yield error.failure
            return
        self._targets.answered(provider, attempt.model)
