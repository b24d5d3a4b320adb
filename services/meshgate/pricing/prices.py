"""The prices of a target, and what a use of it costs."""

import hashlib
from dataclasses import dataclass, field

TOKENS_PER_PRICE = 1_000_000
VERSION_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Prices:
    """What tokens cost, each in whole nano-dollars per million tokens, from 0 on.

    `version` is the same wherever the same prices stand, and is written into usage records.
    """

    input_nanos: int
    cached_input_nanos: int
    cache_creation_nanos: int
    output_nanos: int
    version: str = field(init=False)

    def __post_init__(self) -> None:
        text = (
            f"{self.input_nanos},{self.cached_input_nanos},"
            f"{self.cache_creation_nanos},{self.output_nanos}"
        )
        version = hashlib.sha256(text.encode()).hexdigest()[:VERSION_LENGTH]
        object.__setattr__(self, "version", version)


def cost_nanos(
    prices: Prices,
    input_tokens: int,
    cached_input_tokens: int,
    cache_creation_input_tokens: int,
    output_tokens: int,
) -> int:
    """What one charge costs, in nano-dollars.

    `cached_input_tokens` and `cache_creation_input_tokens` are parts of `input_tokens`, as in
    usage.proto; where an upstream counts more parts than there is whole, the parts are what is
    paid for. Rounded up, once: no charge is booked below what it cost, and none is off by a
    whole nano-dollar.
    """
    plain_tokens = max(0, input_tokens - cached_input_tokens - cache_creation_input_tokens)
    scaled = (
        plain_tokens * prices.input_nanos
        + cached_input_tokens * prices.cached_input_nanos
        + cache_creation_input_tokens * prices.cache_creation_nanos
        + output_tokens * prices.output_nanos
    )
    return -(-scaled // TOKENS_PER_PRICE)
