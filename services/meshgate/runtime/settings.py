"""What every process of the mesh is told by its environment."""

from dataclasses import dataclass
from typing import Literal, cast

from meshgate.runtime.environment import Environment
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.telemetry import LEVELS

Stack = Literal["native", "grpc"]
STACKS: tuple[Stack, ...] = ("native", "grpc")


@dataclass(frozen=True)
class ServerSettings:
    """How a process serves.

    Attributes:
        listen: `host:port`; port 0 takes a free one.
        metrics_listen: `host:port` of the Prometheus metrics; None serves none.
        stack: `native` (pygrpc-native) or `grpc` (grpc.aio).
        identity: How the services of the mesh know each other.
        drain_notice_seconds: How long calls are still taken after health has turned NOT_SERVING,
            so that everyone has noticed before the door closes.
        drain_grace_seconds: How long calls in flight may go on after that.
    """

    listen: str
    metrics_listen: str | None
    stack: Stack
    identity: MeshIdentity
    log_level: str = "info"
    drain_notice_seconds: float = 3.0
    drain_grace_seconds: float = 30.0

    @classmethod
    def read(cls, env: Environment) -> "ServerSettings":
        return cls(
            listen=env.text("MESHGATE_LISTEN", "127.0.0.1:9000"),
            metrics_listen=env.optional_text("MESHGATE_METRICS_LISTEN"),
            stack=cast("Stack", env.choice("MESHGATE_SERVER_STACK", STACKS, "native")),
            identity=MeshIdentity.read(env),
            log_level=env.choice("MESHGATE_LOG_LEVEL", LEVELS, cls.log_level),
            drain_notice_seconds=env.seconds("MESHGATE_DRAIN_NOTICE", cls.drain_notice_seconds),
            drain_grace_seconds=env.seconds("MESHGATE_DRAIN_GRACE", cls.drain_grace_seconds),
        )
