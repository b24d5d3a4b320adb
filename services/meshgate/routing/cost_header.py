"""What an answer has cost, as a header."""

from meshgate.pricing.money import usd_of_nanos

Headers = tuple[tuple[str, str], ...]


def cost_header(cost_nanos: int | None) -> Headers:
    """`x-meshgate-cost-usd`; nothing where any of the cost is not known."""
    return () if cost_nanos is None else (("x-meshgate-cost-usd", usd_of_nanos(cost_nanos)),)
