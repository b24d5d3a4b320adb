"""One attempt of a request, metered."""

from meshgate.config.snapshot import Target
from meshgate.limits.amounts import Amounts
from meshgate.routing.consumption import Consumption
from meshgate.routing.peers.quota.part import Part

REQUEST = Amounts(requests=1)


class MeteredAttempt:
    """One attempt: where, what it holds of the limits there, and what it consumed."""

    __slots__ = ("consumption", "is_running", "parts", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.parts: list[Part] = []
        self.is_running = True
        self.consumption: Consumption | None = None

    def settle(self, consumed: Consumption | None) -> None:
        """Book what it consumed, if anything."""
        self.is_running = False
        self.consumption = consumed
        if self.parts:
            spent = REQUEST if consumed is None else REQUEST + consumed.amounts
            for part in self.parts:
                part.settle(spent)
