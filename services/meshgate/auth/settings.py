"""What the auth service is told by its environment."""

from dataclasses import dataclass, field

from meshgate.auth.credentials import Peppers
from meshgate.runtime.environment import Environment, SettingError


@dataclass(frozen=True)
class Settings:
    """How the auth service works.

    Attributes:
        admin_key: The key of the administrator, `MESHGATE_ADMIN_KEY`; None for none.
        heartbeat_seconds: The time between two heartbeats of a watch. Callers count on 0.3.
        database_url: Where the records are, `AUTH_DATABASE_URL`; None if there are only the keys of
            the configuration.
        key_pepper: What secrets of keys are hashed with, `MESHGATE_KEY_PEPPER`, the same in all
            instances: several, parted by commas, while one replaces another. Needed with a database.
    """

    admin_key: str | None = field(repr=False)
    heartbeat_seconds: float = 0.3
    database_url: str | None = field(default=None, repr=False)
    key_pepper: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, env: Environment) -> "Settings":
        settings = cls(
            admin_key=env.optional_text("MESHGATE_ADMIN_KEY"),
            heartbeat_seconds=env.seconds("AUTH_HEARTBEAT", cls.heartbeat_seconds),
            database_url=env.optional_text("AUTH_DATABASE_URL"),
            key_pepper=env.optional_text("MESHGATE_KEY_PEPPER"),
        )
        if settings.database_url is not None:
            settings.peppers()
        return settings

    def peppers(self) -> Peppers:
        """What secrets of keys are hashed with.

        Raises:
            SettingError: There is nothing, or it is too short.
        """
        if self.key_pepper is None:
            raise SettingError(
                "MESHGATE_KEY_PEPPER is not set: keys in a database are hashed with it, so set the "
                "same long random text in every instance of auth"
            )
        try:
            return Peppers.parse(self.key_pepper)
        except ValueError as error:
            raise SettingError(f"MESHGATE_KEY_PEPPER cannot be used: {error}") from None
