"""Money as people write it, and in whole nano-dollars."""

import re
from decimal import Decimal
from fractions import Fraction

from meshgate.limits.limit import LARGEST_COST_NANOS

NANOS_PER_USD = 1_000_000_000
_DECIMALS = 9
PATTERN = r"^[0-9]+(\.[0-9]+)?$"
MAXIMUM_LENGTH = 400
"""The longest number that a float can stand for is shorter."""

_WRITTEN = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_LARGEST_USD = LARGEST_COST_NANOS // NANOS_PER_USD


class ImpossibleAmountError(ValueError):
    """The text is no amount of money. The error's own text is one sentence that says what to do."""


def nanos_of_usd(text: str) -> int:
    """The amount in nano-dollars, exactly: `12.50` is 12,500,000,000.

    Raises:
        ImpossibleAmountError: It is no number, negative, more than 9,000,000 or not a whole number
            of nano-dollars.
    """
    if len(text) > MAXIMUM_LENGTH or not _WRITTEN.fullmatch(text):
        raise ImpossibleAmountError("must be an amount in USD, for instance 12.50")
    amount = Decimal(text)
    if amount < 0:
        raise ImpossibleAmountError("must be an amount in USD from 0 on: it is less than nothing")
    if amount > _LARGEST_USD:
        raise ImpossibleAmountError("more than 9,000,000 USD cannot be counted exactly")
    # Fractions are exact; Decimal's own arithmetic rounds to 28 digits.
    nanos = Fraction(amount) * NANOS_PER_USD
    if nanos.denominator != 1:
        raise ImpossibleAmountError("has more than 9 decimals: money is counted in nano-dollars")
    return int(nanos)


def usd_of_nanos(nanos: int) -> str:
    """The amount in USD, exactly, without an exponent or idle zeros: 120,000 is `0.00012`."""
    sign = "-" if nanos < 0 else ""
    whole, rest = divmod(abs(nanos), NANOS_PER_USD)
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:0{_DECIMALS}}".rstrip("0")
