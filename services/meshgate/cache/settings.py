"""What the cache service is told by its environment."""

from dataclasses import dataclass, field

from meshgate.runtime.environment import Environment


@dataclass(frozen=True)
class Settings:
    """How the cache service works.

    Attributes:
        redis_url: Where it keeps answers, `CACHE_REDIS_URL`: one server, that may evict.
        maximum_entry_bytes: The largest answer that is kept, `CACHE_MAXIMUM_ENTRY`.
        lookup_seconds: How long its store may take to find something, `CACHE_LOOKUP_TIMEOUT`.
        store_seconds: How long it may take to keep or to forget something, `CACHE_STORE_TIMEOUT`.
    """

    redis_url: str = field(repr=False)
    maximum_entry_bytes: int = 1 << 20
    lookup_seconds: float = 0.02
    store_seconds: float = 1.0

    @classmethod
    def read(cls, env: Environment) -> "Settings":
        return cls(
            redis_url=env.text("CACHE_REDIS_URL"),
            maximum_entry_bytes=env.integer("CACHE_MAXIMUM_ENTRY", cls.maximum_entry_bytes),
            lookup_seconds=env.seconds("CACHE_LOOKUP_TIMEOUT", cls.lookup_seconds),
            store_seconds=env.seconds("CACHE_STORE_TIMEOUT", cls.store_seconds),
        )
