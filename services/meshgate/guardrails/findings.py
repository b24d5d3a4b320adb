"""What rules have found: counted, never kept."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Action(enum.Enum):
    """What is done about a finding."""

    OBSERVE = "observe"
    MASK = "mask"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class RuleName:
    """A rule: its policy, and its detector with its number in the policy's phase."""

    policy: str
    rule: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule has found somewhere, and how often. `shadow`: the action was not taken."""

    rule: RuleName
    detector: str
    action: Action
    shadow: bool
    locator: str
    count: int = 1


class Tally:
    """Counts findings, and remembers the first that blocks."""

    def __init__(self) -> None:
        self._counts: dict[Finding, int] = {}
        self.block: Finding | None = None

    def add(self, finding: Finding) -> None:
        """Count one."""
        self._counts[finding] = self._counts.get(finding, 0) + 1
        if finding.action is Action.BLOCK and not finding.shadow and self.block is None:
            self.block = finding

    def findings(self) -> Iterable[Finding]:
        """Each once, with its count, in the order in which they were first found."""
        for finding, count in self._counts.items():
            yield Finding(
                finding.rule,
                finding.detector,
                finding.action,
                finding.shadow,
                finding.locator,
                count,
            )
