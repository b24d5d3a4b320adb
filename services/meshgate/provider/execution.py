"""Runs an attempt at the provider that it is for, and remembers how it went."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

from meshgate.provider.attempt import Answer, Attempt, Step, StreamDone
from meshgate.provider.failures import AttemptFailedError, Failure
from meshgate.provider.observation import Observer
from meshgate.provider.targets import Targets
from meshgate.provider.upstreams import Upstreams

Outcome: TypeAlias = Answer | Failure


class Execution:
    """Makes attempts. What an upstream does wrong is a result here, not an exception.

    Args:
        upstreams: Who answers.
        targets: Remembers how they went.
        observer: Sees how they went.
    """

    def __init__(self, upstreams: Upstreams, targets: Targets, observer: Observer) -> None:
        self._upstreams = upstreams
        self._targets = targets
        self._observer = observer

    async def answer(self, provider: str, attempt: Attempt) -> Outcome:
        """What came of an attempt at a plain answer.

        Raises:
            RevisionBehindError: The provider is not known here.
            InvalidRequestError: The request cannot be read.
            UnsupportedError: The request cannot be expressed for the provider.
        """
        upstream = self._upstreams.find(provider)
        seen = self._observer.begin(provider, attempt)
        try:
            answer = await upstream.answer(seen.attempt)
        except AttemptFailedError as error:
            self._targets.failed(provider, attempt.model, error.failure.kind)
            return seen.failed(error.failure)
        except BaseException as error:
            seen.given_up(error)
            raise
        self._targets.answered(provider, attempt.model)
        seen.answered(answer)
        return answer

    async def stream(self, provider: str, attempt: Attempt) -> AsyncGenerator[Step | Failure, None]:
        """The steps of a streamed answer; a failure is the last one.

        Raises:
            RevisionBehindError: The provider is not known here.
            InvalidRequestError: The request cannot be read.
            UnsupportedError: The request cannot be expressed for the provider.
        """
        upstream = self._upstreams.find(provider)
        seen = self._observer.begin(provider, attempt)
        try:
            async with aclosing(upstream.stream(seen.attempt)) as steps:
                async for step in steps:
                    if isinstance(step, StreamDone):
                        seen.answered(step)
                    yield step
        except AttemptFailedError as error:
            self._targets.failed(provider, attempt.model, error.failure.kind)
            yield seen.failed(error.failure)
            return
        except BaseException as error:
            seen.given_up(error)
            raise
        self._targets.answered(provider, attempt.model)
