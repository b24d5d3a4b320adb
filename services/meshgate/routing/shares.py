"""What the parts of an answer consumed, of what is known of the whole."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import astuple

from meshgate.dialects.neutral import Usage
from meshgate.tokens.apportioning import apportioned


class Share(Struct, frozen=True):
    """What an answer, or a part of one, consumed.

    Attributes:
        usage: In tokens; None where that is not known.
        cost_nanos: In nano-dollars; None where that is not known.
    """

    usage: Usage | None = None
    cost_nanos: int | None = None


def shares_of(whole: Share, weights: Sequence[int]) -> list[Share]:
    """The shares of the parts, in proportion to their weights (each >= 1); `total` undoes it."""
    usages: list[Usage | None] = [None] * len(weights)
    costs: list[int | None] = [None] * len(weights)
    if whole.usage is not None:
        counts = [apportioned(count, weights) for count in _counts(whole.usage)]
        usages = [_usage(each) for each in zip(*counts, strict=True)]
    if whole.cost_nanos is not None:
        costs = [*apportioned(whole.cost_nanos, weights)]
    return [Share(usage, cost) for usage, cost in zip(usages, costs, strict=True)]


def total(shares: Sequence[Share]) -> Share:
    """What they come to together; not known where that of one is not."""
    usages = [share.usage for share in shares if share.usage is not None]
    costs = [share.cost_nanos for share in shares if share.cost_nanos is not None]
    counts = zip(*map(_counts, usages), strict=True)
    return Share(
        _usage([sum(each) for each in counts]) if usages and len(usages) == len(shares) else None,
        sum(costs) if costs and len(costs) == len(shares) else None,
    )


def _counts(usage: Usage) -> tuple[int, ...]:
    counts: tuple[int, ...] = astuple(usage)
    return counts


def _usage(counts: Sequence[int]) -> Usage:
    return Usage(**dict(zip(Usage.__struct_fields__, counts, strict=True)))
