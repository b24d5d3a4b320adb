"""Metering: every request is admitted under its limits before it runs."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from meshgate.config.snapshot import Model, Snapshot, Target
from meshgate.limits.limit import Limit, SubjectKind
from meshgate.routing.chain import Chain, wide_chain
from meshgate.routing.demand import Demands, with_fallbacks
from meshgate.routing.gauges import Gauges
from meshgate.routing.meter import Meter
from meshgate.routing.peers.quota.quota import Quota, admitted
from meshgate.routing.planning import Plan
from meshgate.routing.question import Question
from meshgate.tokens.counting import TokenCounter
from meshgate.tokens.estimating import Estimator


class Metering:
    """Opens a meter for each request.

    Args:
        quota: Lets requests in.
        counter: Counts tokens where an upstream reports none.
        snapshot: The configuration, as it is now.
        estimator: Learns how long requests and answers are.
    """

    def __init__(
        self,
        quota: Quota,
        counter: TokenCounter,
        snapshot: Callable[[], Snapshot],
        estimator: Estimator | None = None,
    ) -> None:
        estimator = estimator or Estimator()
        self._quota = quota
        self._demands = Demands(estimator, snapshot)
        self._wide = WideChains(snapshot)
        self._gauges = Gauges(quota, self._wide.of_attempt, estimator, self._demands, counter)

    async def open(self, question: Question) -> Meter:
        """Admit a request under the limits of its principal.

        Raises:
            LimitExceededError: A limit is reached; nothing is held.
            ServiceUnavailableError: Quota does not answer.
            DeadlineExceededError: There was no time to ask.
        """
        chains = question.principal.chains
        wide = self._wide.of_model(question.head.model)
        demand = self._demands.of(question, (*chains, *wide) if wide else chains)
        if demand.output_cap is not None:
            question = replace(question, output_cap=demand.output_cap)
        meter = Meter(self._gauges, question, demand)
        meter.parts = await admitted(self._quota, chains, demand.amounts, question.arrival)
        return meter


class WideChains:
    """The limits that apply to models and targets, whoever asks for them.

    Args:
        snapshot: The configuration, as it is now.
    """

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._revision = ""
        self._chains: dict[tuple[SubjectKind, str], Chain | None] = {}
        self._of_models: dict[str, Sequence[Chain]] = {}

    def of_model(self, name: str) -> Sequence[Chain]:
        """The chains that a request for a model may come under, whoever answers it."""
        snapshot = self._current()
        found = self._of_models.get(name)
        if found is None:
            chains = (
                chain
                for model in with_fallbacks(name, snapshot)
                for target in model.targets
                for chain in self._of(model, target)
            )
            found = self._of_models[name] = tuple(dict.fromkeys(chains))
        return found

    def of_attempt(self, plan: Plan, target: Target) -> Sequence[Chain]:
        """The chains of a model and of a target; most have none."""
        if not (plan.model.limits or target.limits):
            return ()
        self._current()
        return self._of(plan.model, target)

    def _current(self) -> Snapshot:
        """The configuration; what was known of another one is forgotten."""
        snapshot = self._snapshot()
        if snapshot.revision != self._revision:
            self._chains, self._of_models, self._revision = {}, {}, snapshot.revision
        return snapshot

    def _of(self, model: Model, target: Target) -> Sequence[Chain]:
        target_id = f"{target.provider}/{target.model}"
        found = (
            self._chain(SubjectKind.MODEL, model.name, model.limits),
            self._chain(SubjectKind.TARGET, target_id, target.limits),
        )
        return [chain for chain in found if chain is not None]

    def _chain(self, kind: SubjectKind, subject_id: str, limits: tuple[Limit, ...]) -> Chain | None:
        key = (kind, subject_id)
        if key not in self._chains:
            self._chains[key] = wide_chain(kind, subject_id, limits)
        return self._chains[key]
