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
        idle_seconds: How long a conversation may rest between turns, `ROUTING_CONVERSATION_IDLE`.
            Envoy cuts streams on which nothing moves for five minutes.
    """

    hold_seconds: float = 30.0
    cache_seconds: float = 0.025
    idle_seconds: float = 240.0

    @classmethod
    def read(cls, env: Environment) -> "Settings":
        return cls(
            hold_seconds=env.seconds("ROUTING_HOLD_TTL", cls.hold_seconds),
            cache_seconds=env.seconds("ROUTING_CACHE_TIMEOUT", cls.cache_seconds),
            idle_seconds=env.seconds("ROUTING_CONVERSATION_IDLE", cls.idle_seconds),
        )
