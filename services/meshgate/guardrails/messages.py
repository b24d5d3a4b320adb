"""Between the messages of the contract and what they mean here."""

from collections.abc import Sequence

from meshgate.guardrails.checking import TextKind, TextSegment, Verdict
from meshgate.guardrails.findings import Action, Finding
from meshgate.guardrails.policies import Phase
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import guardrails_service_pb2 as pb

_KINDS: dict[int, TextKind] = {
    pb.SEGMENT_KIND_UNSPECIFIED: TextKind.WORDS,
    pb.SEGMENT_KIND_TEXT: TextKind.WORDS,
    pb.SEGMENT_KIND_JSON: TextKind.JSON,
}
_KIND_VALUES = {TextKind.WORDS: pb.SEGMENT_KIND_TEXT, TextKind.JSON: pb.SEGMENT_KIND_JSON}
_PHASES: dict[int, Phase] = {
    pb.CHECK_PHASE_INPUT: Phase.INPUT,
    pb.CHECK_PHASE_OUTPUT: Phase.OUTPUT,
}
_ACTIONS = {
    Action.OBSERVE: pb.FINDING_ACTION_OBSERVE,
    Action.MASK: pb.FINDING_ACTION_MASK,
    Action.BLOCK: pb.FINDING_ACTION_BLOCK,
}


def phase_of(value: int) -> Phase:
    """The phase.

    Raises:
        InvalidRequestError: There is no such phase.
    """
    phase = _PHASES.get(value)
    if phase is None:
        raise InvalidRequestError("the phase is not a known one", field="phase")
    return phase


def kind_of(value: int) -> TextKind:
    """The kind of a text.

    Raises:
        InvalidRequestError: There is no such kind.
    """
    kind = _KINDS.get(value)
    if kind is None:
        raise InvalidRequestError("the kind is not a known one", field="kind")
    return kind


def segments_of(item: pb.CheckItem) -> list[TextSegment]:
    """The texts of an item."""
    return [TextSegment(each.locator, kind_of(each.kind), each.text) for each in item.segments]


def result_of(verdict: Verdict) -> pb.CheckResult:
    """What may pass."""
    findings = findings_of(verdict.findings)
    if verdict.block is not None:
        return pb.CheckResult(blocked=blocked_of(verdict.block), findings=findings)
    if verdict.changed:
        segments = [
            pb.Segment(locator=each.locator, kind=_KIND_VALUES[each.kind], text=each.text)
            for each in verdict.changed
        ]
        return pb.CheckResult(masked=pb.CheckMasked(segments=segments), findings=findings)
    return pb.CheckResult(passed=pb.CheckPassed(), findings=findings)


def blocked_of(finding: Finding) -> pb.CheckBlocked:
    """Why nothing may pass."""
    return pb.CheckBlocked(finding=_finding(finding))


def findings_of(findings: Sequence[Finding]) -> list[pb.Finding]:
    """What was found."""
    return [_finding(finding) for finding in findings]


def _finding(finding: Finding) -> pb.Finding:
    return pb.Finding(
        policy=finding.rule.policy,
        rule=finding.rule.rule,
        detector=finding.detector,
        action=_ACTIONS[finding.action],
        locator=finding.locator,
        count=finding.count,
        shadow=finding.shadow,
    )
