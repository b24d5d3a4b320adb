"""One stream of CheckStream, message by message; and doing what takes long in a thread."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from meshgate.guardrails import observation
from meshgate.guardrails.checking import AnswerCheck, TextSegment, Verdict, check
from meshgate.guardrails.messages import blocked_of, findings_of, kind_of
from meshgate.guardrails.policies import Phase
from meshgate.guardrails.revisions import Revisions
from meshgate.guardrails.ruleset import Ruleset
from meshgate.runtime.errors import InvalidRequestError, RequestTooLargeError
from meshgate.v1 import guardrails_service_pb2 as pb

# Above it a look may take longer than others should wait: some milliseconds.
INLINE_CHARACTERS = 1 << 16
MAXIMUM_STREAM_CHARACTERS = 64 << 20

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Looking:
    """Looks through texts, large ones in a thread, and takes the time."""

    async def through(
        self, size: int, phase: Phase, rules: Ruleset, segments: Sequence[TextSegment]
    ) -> Verdict:
        """Look through whole texts, which are part of a batch of so many characters."""
        return await self.doing(size, phase, check, rules, segments)

    async def doing(
        self,
        size: int,
        phase: Phase,
        function: Callable[Parameters, Result],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Result:
        """Call the function, which looks at so many characters."""
        started = time.perf_counter()
        try:
            if size > INLINE_CHARACTERS:
                return await asyncio.to_thread(function, *arguments, **named)
            return function(*arguments, **named)
        finally:
            observation.took(time.perf_counter() - started, phase)


class Answering:
    """Takes the steps of one stream and answers each.

    Attributes:
        is_over: Whether the last answer has been given.
    """

    def __init__(self, revisions: Revisions, looking: Looking) -> None:
        self._revisions = revisions
        self._looking = looking
        self._check: AnswerCheck | None = None
        self._size = 0
        self.is_over = False

    async def take(self, request: pb.CheckStreamRequest) -> list[pb.CheckStreamResponse]:
        """Answer a step.

        Raises:
            InvalidRequestError: The step may not come here.
            RevisionBehindError: A policy is not known here.
        """
        step = request.WhichOneof("step")
        if (step == "start") != (self._check is None):
            raise InvalidRequestError("`start` comes first, and only once", field="step")
        if step == "text" and self._check is not None:
            return await self._text(self._check, request.text)
        if step == "end" and self._check is not None:
            return self._end(self._check)
        if step is None:
            raise InvalidRequestError("the step is empty", field="step")
        start = request.start
        revision = start.context.config_revision
        rules = await self._revisions.ruleset(revision, start.policies, Phase.OUTPUT)
        self._check = AnswerCheck(rules)
        return []

    def close(self) -> None:
        """Count what was found, however the stream came to its end."""
        if self._check is not None:
            observation.found(self._check.findings(), Phase.OUTPUT)

    async def _text(
        self, answer: AnswerCheck, text: pb.CheckStreamText
    ) -> list[pb.CheckStreamResponse]:
        self._size += len(text.text)
        if self._size > MAXIMUM_STREAM_CHARACTERS:
            raise RequestTooLargeError(
                f"the answer is too long: {MAXIMUM_STREAM_CHARACTERS} characters are the most",
                field="text",
            )
        shown = await self._looking.doing(
            len(text.text),
            Phase.OUTPUT,
            answer.text,
            text.channel,
            kind_of(text.kind),
            text.text,
            last=text.last,
        )
        return self._blocked(answer) or [_released(text.channel, shown)]

    def _end(self, answer: AnswerCheck) -> list[pb.CheckStreamResponse]:
        released = [_released(channel, shown) for channel, shown in answer.end()]
        blocked = self._blocked(answer)
        if blocked:
            return released + blocked
        self.is_over = True
        ended = pb.CheckStreamEnded(findings=findings_of(tuple(answer.findings())))
        return [*released, pb.CheckStreamResponse(ended=ended)]

    def _blocked(self, answer: AnswerCheck) -> list[pb.CheckStreamResponse]:
        if answer.block is None:
            return []
        self.is_over = True
        return [pb.CheckStreamResponse(blocked=blocked_of(answer.block))]


def _released(channel: str, text: str) -> pb.CheckStreamResponse:
    return pb.CheckStreamResponse(released=pb.CheckStreamReleased(channel=channel, text=text))
