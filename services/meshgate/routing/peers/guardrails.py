"""What may pass of requests and answers: the caller's side of GuardrailsService."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from msgspec import Struct

from meshgate.dialects.segments import Piece, Segment, SegmentKind
from meshgate.routing.question import Question
from meshgate.runtime.batching import Batcher
from meshgate.runtime.cancellation import being_cancelled
from meshgate.runtime.errors import DeadlineExceededError, ServiceUnavailableError
from meshgate.runtime.status import error_of, error_of_call
from meshgate.v1 import guardrails_service_pb2 as pb
from meshgate.v1 import guardrails_service_pb2_grpc as rpc

_BYTES_A_SECOND = 4 * 1024 * 1024
_RELEASE_SECONDS = 2.0
_MOST_ITEMS = 256
# What is larger goes alone: it would hold up the others.
_LARGE_BYTES = 256 * 1024

_KINDS = {
    SegmentKind.TEXT: pb.SEGMENT_KIND_TEXT,
    SegmentKind.JSON: pb.SEGMENT_KIND_JSON,
}

Result = TypeVar("Result")


class Verdict(Struct, frozen=True):
    """What may pass of one request or answer.

    Attributes:
        findings: What was found. Never the text.
        masked: New texts, by the locators of their segments.
        blocked_by: Why nothing may pass; None where something may.
    """

    findings: Sequence[pb.Finding] = ()
    masked: Mapping[str, str] = {}
    blocked_by: pb.Finding | None = None


class Blocked(Exception):  # noqa: N818 - no error: a verdict
    """Nothing more of a stream may pass."""

    def __init__(self, finding: pb.Finding) -> None:
        super().__init__("blocked")
        self.finding = finding


class Guardrails:
    """Asks GuardrailsService, several requests at a time.

    Args:
        channel: To guardrails.
        check_seconds: How long a batch may take, its length aside.
    """

    def __init__(self, channel: Any, check_seconds: float = 2.0) -> None:
        self._check_seconds = check_seconds
        self._stub: Any = rpc.GuardrailsServiceStub(channel)
        self._batcher: Batcher[pb.CheckItem, pb.CheckResult] = Batcher(self._send, _MOST_ITEMS)

    async def check(
        self,
        question: Question,
        policies: Sequence[str],
        phase: pb.CheckPhase.ValueType,
        segments: Sequence[Segment],
    ) -> Verdict:
        """Look at texts that are whole.

        Raises:
            DeadlineExceededError: The request's own deadline has passed.
            GatewayError: Guardrails cannot tell.
        """
        seconds_left = question.arrival.deadline.seconds_left()
        item = pb.CheckItem(
            context=_context(question),
            policies=policies,
            phase=phase,
            segments=[_segment(each) for each in segments],
        )
        try:
            async with asyncio.timeout(seconds_left):
                if item.ByteSize() > _LARGE_BYTES:
                    (result,) = await self._send([item])
                else:
                    result = await self._batcher.submit(item)
        except TimeoutError:
            raise DeadlineExceededError("the deadline of the request has passed") from None
        except DeadlineExceededError:
            raise unavailable() from None  # that was the batch's
        return _verdict(result, {segment.locator for segment in segments})

    def release(self, question: Question, policies: Sequence[str]) -> "StreamRelease":
        """Begin to look at an answer that is being written."""
        return StreamRelease(self._stub, question, policies)

    async def _send(self, items: Sequence[pb.CheckItem]) -> Sequence[pb.CheckResult]:
        request = pb.BatchCheckRequest(items=items)
        seconds = self._check_seconds + request.ByteSize() / _BYTES_A_SECOND
        response = await _answer(self._stub.BatchCheck, request, timeout=seconds)
        if len(response.results) != len(items):
            raise _nonsense()
        results: Sequence[pb.CheckResult] = response.results
        return results

    async def close(self) -> None:
        """Let what was asked be answered."""
        await self._batcher.close()


class StreamRelease:
    """Looks at one answer while it is written, in one call that begins with its first text.

    Args:
        stub: Of guardrails.
        question: What is answered.
        policies: Their names.
    """

    def __init__(self, stub: Any, question: Question, policies: Sequence[str]) -> None:
        self._stub = stub
        self._question = question
        self._policies = policies
        self._call: Any = None

    async def released(self, piece: Piece) -> str:
        """Return what may be shown of the piece's channel now.

        Raises:
            Blocked: Nothing more.
            GatewayError: Guardrails cannot tell.
        """
        text = pb.CheckStreamText(
            channel=piece.channel, kind=_KINDS[piece.kind], text=piece.text, last=piece.is_last
        )
        step = await _answer(self._asked, pb.CheckStreamRequest(text=text))
        if not step.HasField("released") or step.released.channel != piece.channel:
            raise _nonsense()
        released: str = step.released.text
        return released

    async def ended(self) -> Sequence[pb.Finding]:
        """Say that the answer is whole, and return what was found."""
        if self._call is None:
            return ()
        step = await _answer(self._asked, pb.CheckStreamRequest(end=pb.CheckStreamEnd()))
        if not step.HasField("ended"):  # nothing can be left to release: all channels have ended
            raise _nonsense()
        findings: Sequence[pb.Finding] = step.ended.findings
        await _answer(self._finished)
        return findings

    def close(self) -> None:
        """Give up what is still to come."""
        if self._call is not None:
            self._call.cancel()

    async def _asked(self, request: pb.CheckStreamRequest) -> Any:
        """The answer to one step."""
        if self._call is None:
            seconds = self._question.arrival.deadline.seconds_left()
            self._call = self._stub.CheckStream(timeout=seconds)
            start = pb.CheckStreamStart(context=_context(self._question), policies=self._policies)
            await self._call.write(pb.CheckStreamRequest(start=start))
        await self._call.write(request)
        step = await self._call.read()
        if step is grpc.aio.EOF:
            raise _nonsense()
        if step.HasField("blocked"):
            raise Blocked(step.blocked.finding)
        return step

    async def _finished(self) -> None:
        """Let the call end well."""
        await self._call.done_writing()
        await self._call.read()


class AbsentGuardrails:
    """Stands where there is no guardrails service: nothing can be looked at."""

    async def check(self, *_: Any) -> Verdict:
        """Refuse.

        Raises:
            ServiceUnavailableError: Always.
        """
        raise unavailable()

    def release(self, *_: Any) -> "AbsentGuardrails":
        """Begin to refuse."""
        return self

    async def released(self, _piece: Piece) -> str:
        """Refuse, as `check`."""
        raise unavailable()

    async def ended(self) -> Sequence[pb.Finding]:
        """Nothing was found."""
        return ()

    def close(self) -> None:
        """Nothing is held."""


def unavailable() -> ServiceUnavailableError:
    """What a request meets that may not pass unseen."""
    return ServiceUnavailableError(
        "the guardrails service does not answer", retry_after_seconds=1, service="guardrails"
    )


async def _answer(ask: Any, *args: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - gRPC's
    """What a call answers, with its failures as ours.

    Raises:
        DeadlineExceededError: It takes longer than it may.
        GatewayError: It has failed.
    """
    options = {} if timeout is None else {"timeout": timeout}
    try:
        # A call that is cut off at its deadline by gRPC says so itself.
        async with asyncio.timeout(_RELEASE_SECONDS if timeout is None else timeout + 1):
            return await _own(ask(*args, **options))
    except grpc.aio.AioRpcError as error:
        raise error_of_call(error, "guardrails") from None
    except TimeoutError:
        raise DeadlineExceededError(
            "the guardrails service did not answer in time", service="guardrails"
        ) from None
    except asyncio.InvalidStateError:  # nothing can be written any more
        raise unavailable() from None


async def _own(answer: Awaitable[Result]) -> Result:
    """Wait, and take a call that was cut off under us for one that has failed."""
    try:
        return await answer
    except asyncio.CancelledError:
        if being_cancelled():
            raise
        raise unavailable() from None


def _context(question: Question) -> Any:
    return question.arrival.call_context(question.principal.principal_id, question.revision)


def _segment(segment: Segment) -> pb.Segment:
    return pb.Segment(locator=segment.locator, kind=_KINDS[segment.kind], text=segment.text)


def _verdict(result: pb.CheckResult, locators: set[str]) -> Verdict:
    findings = list(result.findings)
    match result.WhichOneof("verdict"):
        case "passed":
            return Verdict(findings)
        case "masked":
            masked = {each.locator: each.text for each in result.masked.segments}
            if masked.keys() <= locators:
                return Verdict(findings, masked)
        case "blocked":
            finding = result.blocked.finding
            known = findings if finding in findings else [*findings, finding]
            return Verdict(known, blocked_by=finding)
        case "refusal":
            raise error_of(result.refusal, "guardrails")
    raise _nonsense()


def _nonsense() -> ServiceUnavailableError:
    """What guardrails says cannot be understood: as good as no answer."""
    return unavailable()
