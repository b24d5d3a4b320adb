"""Guardrails on a request's way: what may go to an upstream, and what may come back from one."""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from msgspec import Struct
from msgspec.structs import replace

from meshgate.config.snapshot import Model, Snapshot
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.inspection import inspection
from meshgate.dialects.segments import InspectedStream, Piece, Segment, StreamedEvent
from meshgate.routing.peers.guardrails import AbsentGuardrails, Blocked, Verdict, unavailable
from meshgate.routing.policies import ModelPolicies, Policies, policies_of
from meshgate.routing.question import DIALECT_NAMES, Question
from meshgate.runtime.counts import LabelledCounts
from meshgate.runtime.errors import (
    ContentBlockedError,
    DeadlineExceededError,
    GatewayError,
    UpstreamFailedError,
)
from meshgate.v1 import guardrails_service_pb2 as pb

_log = structlog.get_logger("meshgate.routing")

_UNSEEN = LabelledCounts(
    "meshgate_guardrail_failures",
    "Requests and answers that guardrails could not look at, by what became of them.",
    "outcome",
)
_PASSED_UNSEEN, _REFUSED_UNSEEN = map(_UNSEEN.of, ("passed", "refused"))


class Release(Protocol):
    """Looks at one answer while it is written."""

    async def released(self, piece: Piece) -> str:
        """Return what may be shown of the piece's channel now.

        Raises:
            Blocked: Nothing more.
            GatewayError: Guardrails cannot tell.
        """
        ...

    async def ended(self) -> Sequence[pb.Finding]:
        """Say that the answer is whole, and return what was found; raises as `released`."""
        ...

    def close(self) -> None:
        """Give up what is still to come."""
        ...


class Checks(Protocol):
    """Looks at requests and answers."""

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
        ...

    def release(self, question: Question, policies: Sequence[str]) -> Release:
        """Begin to look at an answer that is being written."""
        ...


class Shown(Struct, frozen=True):
    """What may be shown of an answer, or of the next part of one, and whether the rest is blocked."""

    data: bytes
    is_blocked: bool = False


class Guarding:
    """Puts a guard beside each request for a model that has policies.

    Args:
        checks: Looks at texts; None where there is no such service.
    """

    def __init__(self, checks: Checks | None = None) -> None:
        self._checks: Checks = AbsentGuardrails() if checks is None else checks

    def guard(self, model: Model, snapshot: Snapshot) -> "Guard":
        """The guard of one request. The policies are those of the model that was asked for."""
        return Guard(self._checks, policies_of(model, snapshot))


class Guard:
    """Guards one request and its answer.

    Args:
        checks: Looks at texts.
        policies: What for.

    Attributes:
        findings: What was found until now.
    """

    def __init__(self, checks: Checks, policies: ModelPolicies) -> None:
        self._checks = checks
        self._policies = policies
        self.findings: list[pb.Finding] = []

    async def admitted(self, question: Question) -> Question:
        """The question as it may go to an upstream.

        Raises:
            UnsupportedError: Requests and answers of its dialect cannot be looked at.
            InvalidRequestError: It cannot be read.
            ContentBlockedError: It may not go.
            ServiceUnavailableError: Nobody can look at it, and unseen it may not go.
            DeadlineExceededError: There was no time.
        """
        dialect = inspection(DIALECT_NAMES[question.dialect])  # also for the answer to come
        policies = self._policies.input
        if not policies.names:
            return question
        cut = dialect.cut_request(question.body)
        verdict = await self._verdict(question, policies, pb.CHECK_PHASE_INPUT, cut.segments)
        if verdict.blocked_by is not None:
            raise _blocked(verdict.blocked_by)
        if not verdict.masked:
            return question
        return replace(question, body=cut.masked(verdict.masked))

    async def shown(self, question: Question, body: bytes) -> Shown:
        """A plain answer as it may be shown.

        Raises:
            ServiceUnavailableError: Nobody can look at it, and unseen it may not be shown.
            DeadlineExceededError: There was no time.
            UpstreamFailedError: It cannot be read.
        """
        policies = self._policies.output
        if not policies.names:
            return Shown(body)
        dialect = inspection(DIALECT_NAMES[question.dialect])
        try:
            cut = dialect.cut_answer(body)
            verdict = await self._verdict(question, policies, pb.CHECK_PHASE_OUTPUT, cut.segments)
            if verdict.blocked_by is not None:
                return Shown(dialect.blocked_answer(body), is_blocked=True)
        except MalformedAnswerError as error:
            raise _unreadable() from error
        return Shown(cut.masked(verdict.masked) if verdict.masked else body)

    def stream(self, question: Question) -> "StreamGuard | None":
        """The guard of a streamed answer; None where nothing is looked for in one."""
        policies = self._policies.output
        if not policies.names:
            return None
        stream = inspection(DIALECT_NAMES[question.dialect]).stream()
        release = self._checks.release(question, policies.names)
        if policies.fails_open:
            release = OpenRelease(release, question.arrival.request_id)
        else:
            release = ClosedRelease(release, question.arrival.request_id)
        return StreamGuard(stream, release, self.findings.append)

    async def _verdict(
        self,
        question: Question,
        policies: Policies,
        phase: pb.CheckPhase.ValueType,
        segments: Sequence[Segment],
    ) -> Verdict:
        if not segments:
            return Verdict()
        try:
            verdict = await self._checks.check(question, policies.names, phase, segments)
        except DeadlineExceededError:
            raise
        except GatewayError as error:
            _tell(error, question.arrival.request_id, fails_open=policies.fails_open)
            if policies.fails_open:
                return Verdict()
            raise unavailable() from error
        self.findings += verdict.findings
        return verdict


class StreamGuard:
    """Guards a streamed answer.

    Args:
        stream: Takes it apart.
        release: Looks at its texts.
        note: Takes note of a finding.
    """

    def __init__(
        self, stream: InspectedStream, release: Release, note: Callable[[pb.Finding], None]
    ) -> None:
        self._stream = stream
        self._release = release
        self._note = note

    async def shown(self, chunk: bytes) -> Shown:
        """What may be shown once this chunk has come; the rest comes later.

        Raises:
            ServiceUnavailableError: Nobody can look at it, and unseen it may not be shown.
            UpstreamFailedError: It cannot be read.
        """
        try:
            return await self._shown(self._stream.take(chunk))
        except MalformedAnswerError as error:
            raise _unreadable() from error

    async def closed(self) -> Shown:
        """What was held back, where the stream ends before its time; raises as `shown`."""
        return await self._shown([self._stream.closing()])

    def close(self) -> None:
        """Give up what is still to come."""
        self._release.close()

    async def _shown(self, events: Sequence[StreamedEvent]) -> Shown:
        written: list[bytes] = []
        try:
            for event in events:
                released = [await self._release.released(piece) for piece in event.pieces]
                written.append(event.written(released))
                if event.is_end:
                    for finding in await self._release.ended():
                        self._note(finding)
        except Blocked as blocked:
            self._note(blocked.finding)
            return Shown(b"".join(written), is_blocked=True)
        return Shown(b"".join(written))


class ClosedRelease:
    """Ends an answer that guardrails can no longer look at.

    Args:
        release: Looks at it.
        request_id: For the log.
    """

    def __init__(self, release: Release, request_id: str) -> None:
        self._release = release
        self._request_id = request_id

    async def released(self, piece: Piece) -> str:
        """As guardrails say.

        Raises:
            ServiceUnavailableError: They do not.
        """
        try:
            return await self._release.released(piece)
        except GatewayError as error:
            _tell(error, self._request_id, fails_open=False)
            raise unavailable() from error

    async def ended(self) -> Sequence[pb.Finding]:
        """As guardrails say; what they found no longer matters to what is shown."""
        return await _findings(self._release, self._request_id)

    def close(self) -> None:
        """Give up what is still to come."""
        self._release.close()


class OpenRelease:
    """Lets an answer pass unseen from where guardrails can no longer look at it.

    What they held back until then comes first. Where something of it was masked already nobody knows
    what that was, and the answer ends.

    Args:
        release: Looks at it.
        request_id: For the log.
    """

    def __init__(self, release: Release, request_id: str) -> None:
        self._release = release
        self._request_id = request_id
        self._held: dict[str, str | None] = {}
        self._is_seen = True

    async def released(self, piece: Piece) -> str:
        """As guardrails say, or else all.

        Raises:
            ServiceUnavailableError: They do not, and what they held back is not known.
        """
        held = self._held.pop(piece.channel, "")
        whole = None if held is None else held + piece.text
        if self._is_seen:
            try:
                released = await self._release.released(piece)
            except GatewayError as error:
                _tell(error, self._request_id, fails_open=None not in {whole, *self._held.values()})
                self._is_seen = False
            else:
                self._hold(piece, whole, released)
                return released
        if whole is None:
            raise unavailable()
        return whole

    async def ended(self) -> Sequence[pb.Finding]:
        """What was found, as far as guardrails could look."""
        return await _findings(self._release, self._request_id) if self._is_seen else ()

    def close(self) -> None:
        """Give up what is still to come."""
        self._release.close()

    def _hold(self, piece: Piece, whole: str | None, released: str) -> None:
        """Note what guardrails hold back; None where that cannot be told from what they released."""
        if not piece.is_last:
            is_known = whole is not None and whole.startswith(released)
            self._held[piece.channel] = (whole or "")[len(released) :] if is_known else None


async def _findings(release: Release, request_id: str) -> Sequence[pb.Finding]:
    """What was found in an answer of which all is released."""
    try:
        return await release.ended()
    except GatewayError as error:
        _log.warning("findings are lost", request_id=request_id, reason=error.reason)
        return ()


def _tell(error: GatewayError, request_id: str, *, fails_open: bool) -> None:
    (_PASSED_UNSEEN if fails_open else _REFUSED_UNSEEN).value += 1
    _log.warning(
        "guardrails do not answer",
        request_id=request_id,
        reason=error.reason,
        outcome="passed" if fails_open else "refused",
    )


def _blocked(finding: pb.Finding) -> ContentBlockedError:
    return ContentBlockedError(
        f"the request was not let pass by the input rule {finding.rule} of the guardrail"
        f" {finding.policy}",
        phase="input",
        policy=finding.policy,
        rule=finding.rule,
    )


def _unreadable() -> UpstreamFailedError:
    return UpstreamFailedError("the upstream's answer cannot be understood")
