"""The policies of the last few revisions of the configuration, ready to be applied."""

import enum
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache

from meshgate.config.snapshot import GuardrailPolicy, Snapshot
from meshgate.guardrails.ruleset import Ruleset, rules_of
from meshgate.runtime.errors import RevisionBehindError

KEPT_REVISIONS = 8
_KEPT_RULESETS = 256


class Phase(enum.Enum):
    """Where in a request's way a text stands."""

    INPUT = "input"
    OUTPUT = "output"


class Policies:
    """Finds the rules that a caller means, also one that is a little ahead or behind.

    A revision that has changed nothing in the policies costs nothing: rulesets are kept by what
    they say.
    """

    def __init__(self) -> None:
        self._revisions: OrderedDict[str, Mapping[str, GuardrailPolicy]] = OrderedDict()

    def follow(self, snapshot: Snapshot) -> None:
        """Know another revision from now on, and make it ready; may take milliseconds."""
        for policy in snapshot.guardrails.values():
            for phase in Phase:
                _ruleset((policy,), phase)
        self._revisions[snapshot.revision] = snapshot.guardrails
        self._revisions.move_to_end(snapshot.revision)
        while len(self._revisions) > KEPT_REVISIONS:
            self._revisions.popitem(last=False)

    def knows(self, revision: str) -> bool:
        """Whether the policies of a revision can be applied."""
        return revision in self._revisions

    def ruleset(self, revision: str, names: Sequence[str], phase: Phase) -> Ruleset:
        """The rules of these policies, in order.

        Raises:
            RevisionBehindError: The revision, or a policy in it, is not known here.
        """
        policies = self._revisions.get(revision)
        if policies is None:
            raise RevisionBehindError(
                f"the configuration {revision} is not known here", revision=revision
            )
        unknown = next((name for name in names if name not in policies), None)
        if unknown is not None:
            raise RevisionBehindError(
                f"there is no policy {unknown} in the configuration {revision}",
                policy=unknown,
                revision=revision,
            )
        return _ruleset(tuple(policies[name] for name in names), phase)


@lru_cache(maxsize=_KEPT_RULESETS)
def _ruleset(policies: tuple[GuardrailPolicy, ...], phase: Phase) -> Ruleset:
    return Ruleset(
        rule
        for policy in policies
        for rule in rules_of(policy.name, policy.input if phase is Phase.INPUT else policy.output)
    )
