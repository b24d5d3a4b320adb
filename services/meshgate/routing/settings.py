"""What the routing service is told by its environment."""

from dataclasses import dataclass

from meshgate.runtime.environment import Environment


@dataclass(frozen=True)
class Settings:
    """How the routing service works.

    Attributes:
        hold_seconds: How long what a request holds stays held without a sign of life of this
            process, `ROUTING_HOLD_TTL`. Then it is booked as used up, and its place comes free.
        cache_seconds: How long a lookup in the cache may take, `ROUTING_CACHE_TIMEOUT`; then it is
            a miss.
    """

    hold_seconds: float = 30.0
    cache_seconds: float = 0.025

    @classmethod
    def read(cls, env: Environment) -> "Settings":
        return cls(
            hold_seconds=env.seconds("ROUTING_HOLD_TTL", cls.hold_seconds),
            cache_seconds=env.seconds("ROUTING_CACHE_TIMEOUT", cls.cache_seconds),
        )
