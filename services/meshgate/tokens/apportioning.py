"""Divides what was counted for a whole among its parts."""

from collections.abc import Sequence


def apportioned(total: int, weights: Sequence[int]) -> list[int]:
    """The shares of a total (>= 0), in proportion to the weights (each >= 1), by largest remainder.

    They add up to the total, and each is less than one away from its exact share. Of equal
    remainders the first gets more.
    """
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda part: -remainders[part])
    for part in by_remainder[: total - sum(shares)]:
        shares[part] += 1
    return shares
