"""What the operators see of guardrails: metrics. Never a text."""

from collections.abc import Iterable

from prometheus_client import Counter

from meshgate.guardrails.findings import Finding
from meshgate.guardrails.policies import Phase
from meshgate.runtime.durations import DurationHistogram

_FINDINGS = Counter(
    "meshgate_guardrail_findings",
    "What was found, by rule and by what was done; `shadow` if the rule is only tried out.",
    ("policy", "rule", "detector", "action", "phase"),
)
_DURATION = DurationHistogram(
    "meshgate_guardrail_check_duration_seconds",
    "How long it took to look through a request, an answer, or a part of a stream.",
    ("phase",),
)
_DURATIONS = {phase: _DURATION.of(phase.value) for phase in Phase}


def found(findings: Iterable[Finding], phase: Phase) -> None:
    """Count what was found."""
    for finding in findings:
        action = "shadow" if finding.shadow else finding.action.value
        labels = (finding.rule.policy, finding.rule.rule, finding.detector, action, phase.value)
        _FINDINGS.labels(*labels).inc(finding.count)


def took(seconds: float, phase: Phase) -> None:
    """Take note of how long a look took."""
    _DURATIONS[phase].observe(seconds)
