"""Prices that no charge at any of several targets exceeds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from meshgate.pricing.prices import UNIT_PRICES, Prices, Step

UNTOLD_TIERS = frozenset({"", "auto"})
"""What a request says that leaves the tier to the settings of the upstream's account."""

USUAL = "default"
"""Served whatever is asked for."""

BATCH = "batch"
"""No request is in it that goes upstream by itself."""


def ceiling(choices: Sequence[Prices], asked_tier: str, *, is_bound: bool) -> Prices | None:
    """The highest prices that may apply to a request; None where there are no prices at all.

    Whatever is read may also be written to a cache; whatever tier is asked for, the upstream may
    serve the usual one.

    Args:
        choices: Of those who may answer.
        asked_tier: The service tier that the request names, or nothing.
        is_bound: Whether the tiers that only the upstream's account decides about count too.
    """
    offers = [offer for each in choices for offer in _offers(each, asked_tier, is_bound=is_bound)]
    if not offers:
        return None
    bounds = sorted({step.above_tokens for offer in offers for step in offer.steps})
    lowest = _dearest(offers, 0)
    steps, highest = [], lowest
    for bound in bounds:
        highest = _dearer(highest, _dearest(offers, bound + 1))
        steps.append(Step(bound, highest))
    return replace(lowest, steps=tuple(steps))


def _offers(prices: Prices, asked_tier: str, *, is_bound: bool) -> list[Prices]:
    untold = is_bound and asked_tier in UNTOLD_TIERS
    return [
        prices,
        *(
            tier.prices
            for tier in prices.tiers
            if tier.name in (asked_tier, USUAL) or (untold and tier.name != BATCH)
        ),
    ]


def _dearest(offers: Sequence[Prices], input_tokens: int) -> Prices:
    """Of each price the highest, for a question of that length."""
    found = [offer.at("", input_tokens) for offer in offers]
    read = max(each.dearest_input_nanos for each in found)
    written = max(each.dearest_output_nanos for each in found)
    return Prices(read, read, read, written, **_of_units(found))


def _dearer(one: Prices, other: Prices) -> Prices:
    read = max(one.input_nanos, other.input_nanos)
    written = max(one.output_nanos, other.output_nanos)
    return Prices(read, read, read, written, **_of_units((one, other)))


def _of_units(offers: Sequence[Prices]) -> dict[str, Any]:
    """The highest prices of what is not charged by the token."""
    return {name: max(getattr(each, name) for each in offers) for name in UNIT_PRICES}
