"""What the provider service is told by its environment."""

from dataclasses import dataclass
from typing import Literal, cast

from meshgate.runtime.environment import Environment

ClientName = Literal["http1", "aiohttp", "httpx"]
CLIENT_NAMES: tuple[ClientName, ...] = ("http1", "aiohttp", "httpx")


@dataclass(frozen=True)
class Settings:
    """How the provider service works.

    Attributes:
        upstream_client: What sends requests to upstreams, `MESHGATE_UPSTREAM_CLIENT`.
    """

    upstream_client: ClientName = "http1"

    @classmethod
    def read(cls, env: Environment) -> "Settings":
        name = env.choice("MESHGATE_UPSTREAM_CLIENT", CLIENT_NAMES, cls.upstream_client)
        return cls(upstream_client=cast("ClientName", name))
