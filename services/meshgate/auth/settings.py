"""What the auth service is told by its environment."""

from dataclasses import dataclass, field

from meshgate.runtime.environment import Environment


@dataclass(frozen=True)
class Settings:
    """How the auth service works.

    Attributes:
        admin_key: The key of the administrator, `MESHGATE_ADMIN_KEY`; None for none.
        heartbeat_seconds: The time between two heartbeats of a watch. Callers count on 0.3.
    """

    admin_key: str | None = field(repr=False)
    heartbeat_seconds: float = 0.3

    @classmethod
    def read(cls, env: Environment) -> "Settings":
        return cls(
            admin_key=env.optional_text("MESHGATE_ADMIN_KEY"),
            heartbeat_seconds=env.seconds("AUTH_HEARTBEAT", cls.heartbeat_seconds),
        )
