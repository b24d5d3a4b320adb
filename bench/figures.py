"""The arithmetic: from loads to figures, from the figures of several rounds to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

CONNECTIONS = (1, 16, 64)
FEW_CHUNKS = 4
MANY_CHUNKS = 44

BESIDE_US = "beside_us"
"""What plain Envoy took for a request right before and after, at the same load."""

Figures = dict[str, float]
"""The figures of one gateway in one round, by name; names end in their unit."""


@dataclass(frozen=True)
class Cost:
    """What answers to a load cost a gateway, in seconds of CPU by kind of process."""

    requests: int
    cpu_seconds: Mapping[str, float]

    @property
    def us_per_request(self) -> float:
        return sum(self.cpu_seconds.values()) / self.requests * 1e6

    def us_per_request_of(self, kind: str) -> float:
        return self.cpu_seconds.get(kind, 0.0) / self.requests * 1e6


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was spent between two readings; a kind may be new in the second."""
    return {kind: after[kind] - before.get(kind, 0.0) for kind in after}


def chunk_us(few: Cost, many: Cost) -> float:
    """What one more chunk costs: the slope between short and long streams."""
    return (many.us_per_request - few.us_per_request) / (MANY_CHUNKS - FEW_CHUNKS)


def stream_us(few: Cost, many: Cost) -> float:
    """What a stream costs before its first chunk."""
    return few.us_per_request - FEW_CHUNKS * chunk_us(few, many)


@dataclass(frozen=True)
class Spread:
    """The median of several rounds, and how far they lie apart."""

    middle: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """At least one value is needed."""
    return Spread(median(values), min(values), max(values))


def ratios(rounds: Sequence[Figures], divisors: Sequence[Figures], name: str) -> list[float]:
    """One figure as a multiple of the divisor's in the same round.

    Each round is divided by its own, so that what disturbs both cancels out. A round whose
    divisor is not above zero (noise can do that to a slope) says nothing and is left out.
    """
    pairs = zip(rounds, divisors, strict=True)
    return [ours[name] / theirs[name] for ours, theirs in pairs if theirs[name] > 0]
