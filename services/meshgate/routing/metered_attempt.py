"""One attempt of a request, metered."""

from meshgate.config.snapshot import Target
from meshgate.limits.amounts import Amounts
from meshgate.routing.consumption import Consumption
from meshgate.routing.failure import Failure
from meshgate.routing.peers.quota.part import Part

REQUEST = Amounts(requests=1)


class MeteredAttempt:
    """One attempt: where, what it holds of the limits there, what it consumed, how it went.

    Attributes:
        failure: What went wrong, by a word of FailureKind or `refused`; None where nothing did, or
            where the request says it.
        upstream_seconds: How long it was with the upstream; None where that is not known.
    """

    __slots__ = ("consumption", "failure", "is_running", "parts", "target", "upstream_seconds")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.parts: list[Part] = []
        self.is_running = True
        self.consumption: Consumption | None = None
        self.failure: str | None = None
        self.upstream_seconds: float | None = None

    def failed(self, failure: Failure, consumed: Consumption | None) -> None:
        """It came to nothing."""
        self.failure = failure.kind
        self.upstream_seconds = failure.upstream_seconds
        self.settle(consumed)

    def refused(self) -> None:
        """It was never made: the mesh would not."""
        self.failure = "refused"
        self.upstream_seconds = 0.0
        self.settle(None)

    def settle(self, consumed: Consumption | None) -> None:
        """Book what it consumed, if anything."""
        self.is_running = False
        self.consumption = consumed
        if self.parts:
            spent = REQUEST if consumed is None else REQUEST + consumed.amounts
            for part in self.parts:
                part.settle(spent)
