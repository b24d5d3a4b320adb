"""What REDIS_URL may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import parse_url

USUAL_PORT = 6379
_CLUSTER = "+cluster"

Place = tuple[str, int]
"""Host and port."""


class UnusableUrlError(ValueError):
    """REDIS_URL cannot be understood. The text is one sentence that does not repeat it."""


@dataclass(frozen=True)
class RedisAddress:
    """Where the store is, and how to connect to it.

    Attributes:
        places: Where to begin: the server, or some nodes of a cluster.
        is_cluster: Whether shards lie on several nodes.
        options: For every connection: its class, user, password, ...
    """

    places: tuple[Place, ...]
    is_cluster: bool
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Read `redis://host:port/0`, or `redis+cluster://host:port,host:port` for a cluster.

        Both may be `rediss...` for TLS, and carry `user:password@`.

        Raises:
            UnusableUrlError: It is something else.
        """
        try:
            scheme, _, rest = url.partition("://")
            is_cluster = scheme.endswith(_CLUSTER)
            hosts = urlsplit(f"redis://{rest}").netloc.rpartition("@")[2].split(",")
            one = f"{scheme.removesuffix(_CLUSTER)}://{rest}"
            # Only the first host: the others differ in nothing else.
            options = dict(parse_url(one.replace(",".join(hosts), hosts[0], 1)))
            places = tuple(_place(host) for host in hosts)
        except ValueError as error:
            raise UnusableUrlError(_explained(error)) from None
        if not rest or (len(places) > 1 and not is_cluster) or "path" in options:
            raise UnusableUrlError(_explained(None))
        if is_cluster and options.pop("db", 0) != 0:
            raise UnusableUrlError("a Redis Cluster has only the database 0: leave it out")
        return cls(places, is_cluster, {k: v for k, v in options.items() if k not in _PLACE})


_PLACE = {"host", "port"}


def _place(text: str) -> Place:
    parts = urlsplit(f"redis://{text}")
    if not parts.hostname:
        raise ValueError("it has no host")
    return parts.hostname, parts.port or USUAL_PORT


def _explained(error: ValueError | None) -> str:
    because = f" ({error})" if error is not None and "port" in str(error).lower() else ""
    return (
        f"it must be of the form redis://host:port or redis+cluster://host:port,host:port{because}"
    )
