"""A span for each attempt, within that of its request."""

from typing import Generic, TypeVar

from msgspec.structs import replace

from meshgate.config.snapshot import Target
from meshgate.routing.attempts import Execute
from meshgate.routing.failure import Failure
from meshgate.routing.planning import Plan
from meshgate.routing.question import Question
from meshgate.runtime.tracing import Span, error_type

Answer = TypeVar("Answer")


def attempts_within(span: Span, execute: Execute[Answer]) -> Execute[Answer]:
    """The same, with a span for each attempt, if that of the request is recorded.

    That of a stream goes on when the answer has begun, and ends with the request.
    """
    return _Attempts(span, execute).run if span.is_recorded else execute


class _Attempts(Generic[Answer]):
    def __init__(self, span: Span, execute: Execute[Answer]) -> None:
        self._span = span
        self._execute = execute
        self._count = 0

    async def run(self, question: Question, plan: Plan, target: Target) -> Answer | Failure:
        self._count += 1
        span = self._span.child("attempt")
        span.note(
            {
                "meshgate.attempt.number": self._count,
                "gen_ai.provider.name": target.provider,
                "gen_ai.request.model": target.model,
            }
        )
        arrival = replace(question.arrival, traceparent=span.traceparent)
        try:
            result = await self._execute(replace(question, arrival=arrival), plan, target)
        except BaseException as error:
            span.fail(error_type(error))
            span.end()
            raise
        if isinstance(result, Failure):
            span.fail(result.kind)
            span.end()
        elif not question.head.stream:
            span.end()
        return result
