"""What the meters of all requests have in common."""

from collections.abc import Callable, Sequence

from meshgate.config.snapshot import Target
from meshgate.routing.chain import Chain
from meshgate.routing.consumption import UsageRecords
from meshgate.routing.demand import Demands
from meshgate.routing.peers.quota.quota import Quota
from meshgate.routing.planning import Plan
from meshgate.routing.usage_counting import UsageCounter
from meshgate.tokens.counting import TokenCounter
from meshgate.tokens.estimating import Estimator

ChainsOf = Callable[[Plan, Target], Sequence[Chain]]
"""The limits of a model and a target, whoever asks."""


class Gauges:
    """What all meters share.

    Args:
        quota: Lets requests in.
        chains_of: The limits of a model and a target.
        estimator: Learns how long requests and answers are.
        demands: What requests may use.
        counter: Counts tokens where an upstream reports none.
    """

    def __init__(
        self,
        quota: Quota,
        chains_of: ChainsOf,
        estimator: Estimator,
        demands: Demands,
        counter: TokenCounter,
    ) -> None:
        self.quota = quota
        self.chains_of = chains_of
        self.estimator = estimator
        self.demands = demands
        self.usage = UsageCounter(counter, estimator)
        self.records = UsageRecords()
