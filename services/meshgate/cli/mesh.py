"""The processes of a gateway on one machine: which there are, and how they find each other."""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias, TypeVar

from meshgate.cli.access_log import AccessLog
from meshgate.cli.child import Program
from meshgate.cli.envoy_admin import EnvoyAdmin
from meshgate.cli.ports import free_port, is_free
from meshgate.cli.probes import HealthProbe, PageProbe
from meshgate.cli.redis_server import (
    CACHE_REDIS,
    REDIS,
    EmbeddedRedis,
    RedisServer,
    without_password,
)
from meshgate.cli.serving import SERVICES
from meshgate.cli.supervision import StartError, Supervisor
from meshgate.edge import binary
from meshgate.edge.rendering import Address, EdgeSettings, laptop_files, write
from meshgate.runtime.environment import Environment
from meshgate.runtime.tracing_settings import TracingSettings

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
EDGE = "envoy"
COMPACT = "compact"
START_SECONDS = 120.0

# On one machine Envoy has heard that a service drains after two looks. The services behind routing
# stop when it has gone, so that nobody is left to hear of it.
_HEALTH_CHECK_SECONDS = 0.25
_DRAIN_NOTICE = "500ms"
_DRAIN_NOTICE_BEHIND = "0ms"
_DRAIN_GRACE = "10s"
_STOP_SLACK_SECONDS = 3.0
_EDGE_STOP_SECONDS = 5.0
_PORT_ATTEMPTS = 5
_ALONE = ("auth", "quota", "cache")
# Which server a service uses, and by which variable it is told.
_USE_REDIS = {"quota": (REDIS, "REDIS_URL"), "cache": (CACHE_REDIS, "CACHE_REDIS_URL")}
_ENVOY_VARIABLES = ("PATH", "HOME", "LANG", "TZ")

Shape: TypeAlias = Sequence[Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Plan:
    """What is to run.

    Attributes:
        public: Where clients come in.
        shape: The services of each kind of process, by its name, in the order in which they are
            needed: those of the first group at the same time, then those of the next.
        workers: How many processes of a kind there are; of `auth`, `quota` and `cache` one.
        variables: The environment of every service.
        private: What only the processes of a service are told besides, by its name.
        redis: What quota keeps its counters in.
        cache_redis: What cache keeps answers in.
        directory: Where Envoy's configuration and logs lie.
        admin_socket: Where Envoy makes its admin socket: a short path.
    """

    public: Address
    shape: Shape
    workers: int
    variables: Mapping[str, str]
    private: Mapping[str, Mapping[str, str]] = field(repr=False)
    redis: RedisServer
    cache_redis: RedisServer
    directory: Path
    admin_socket: Path

    @property
    def access_log(self) -> Path:
        return self.directory / "logs" / "access.log"

    @property
    def base_url(self) -> str:
        return f"http://{self.grpc_target}"

    @property
    def grpc_target(self) -> str:
        host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.public.host, self.public.host)  # noqa: S104
        return f"[{host}]:{self.public.port}" if ":" in host else f"{host}:{self.public.port}"


SEPARATE: Shape = (
    {
        "auth": ("auth",),
        "cache": ("cache",),
        "guardrails": ("guardrails",),
        "provider": ("provider",),
    },
    # It asks auth who calls.
    {"quota": ("quota",)},
    {"routing": ("routing",)},
)
TOGETHER: Shape = ({COMPACT: SERVICES},)


@dataclass(frozen=True)
class ServiceProcess:
    """A process that hosts services."""

    name: str
    kind: str
    services: tuple[str, ...]
    port: int
    metrics_port: int

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def metrics_address(self) -> str:
        return f"{LOOPBACK}:{self.metrics_port}"


class Mesh:
    """Starts and stops the processes of a plan, each when those that it needs are there."""

    def __init__(self, plan: Plan, supervisor: Supervisor) -> None:
        self._plan = plan
        self._supervisor = supervisor
        self._token = secrets.token_urlsafe(32)
        self._processes: list[ServiceProcess] = []
        self._servers = {REDIS: plan.redis, CACHE_REDIS: plan.cache_redis}
        self._redis_urls: dict[str, str] = {}
        self._deadline = 0.0
        self._envoy = EnvoyAdmin(plan.admin_socket)
        self._access_log = AccessLog(plan.access_log, self._envoy.reopen_logs)

    async def start(self) -> None:
        """Start everything; return when requests are served.

        Raises:
            StartError: A Redis-compatible server does not start, or another process does not come
                to serve within START_SECONDS of the time when they did.
        """
        urls = await _together([self._start_redis(server) for server in self._servers.values()])
        self._redis_urls = dict(zip(self._servers, urls, strict=True))
        self._deadline = asyncio.get_running_loop().time() + START_SECONDS
        for group in self._plan.shape:
            peers = self._peers()
            starts = [
                self._start_service(name, kind, services, peers)
                for kind, services in group.items()
                for name in self._names(kind)
            ]
            self._processes += await _together(starts)
        self._access_log.rotate()
        await self._supervisor.start(self._edge(), self._remaining_seconds())

    async def tend(self) -> None:
        """See to what must be seen to while the processes run; without end."""
        await self._access_log.keep_small()

    async def stop(self) -> None:
        """Stop everything in an order in which no request in flight is lost.

        Envoy closes its door first and ends after the services, for answers still pass through it;
        in between, the services end before those that they call. The Redis-compatible servers end
        last: until then there may be something to count.
        """
        await self._envoy.close_door()
        groups = [
            [p.name for p in self._processes if p.kind in kinds] for kinds in self._plan.shape
        ]
        await self._supervisor.stop([*reversed(groups), [EDGE], [REDIS, CACHE_REDIS]])

    def redis_url(self) -> str | None:
        """Where the counters are. With a password only if it is ours, and of this run."""
        return self._shown_url(REDIS)

    def cache_redis_url(self) -> str | None:
        """Where the answers are that are kept; as `redis_url`."""
        return self._shown_url(CACHE_REDIS)

    def _shown_url(self, name: str) -> str | None:
        url = self._redis_urls[name]
        return url if isinstance(self._servers[name], EmbeddedRedis) else without_password(url)

    def pids(self) -> dict[str, Any]:
        """The processes of Envoy and of our own Redis servers, and those of each kind of service."""
        pids: dict[str, Any] = {EDGE: self._supervisor.pid(EDGE)}
        for name, server in self._servers.items():
            if isinstance(server, EmbeddedRedis):
                pids[name] = self._supervisor.pid(name)
        for process in self._processes:
            pids.setdefault(process.kind, []).append(self._supervisor.pid(process.name))
        return pids

    def metrics(self) -> dict[str, list[str]]:
        """The addresses of the Prometheus metrics of each kind of service."""
        addresses: dict[str, list[str]] = {}
        for process in self._processes:
            url = f"http://{process.metrics_address}/metrics"
            addresses.setdefault(process.kind, []).append(url)
        return addresses

    def _names(self, kind: str) -> list[str]:
        count = 1 if kind in _ALONE else self._plan.workers
        return [kind] if count == 1 else [f"{kind}-{number}" for number in range(1, count + 1)]

    def _peers(self) -> dict[str, str]:
        """Where the services are that have been started."""
        addresses: dict[str, list[str]] = {}
        for process in self._processes:
            for service in process.services:
                addresses.setdefault(service, []).append(process.address)
        return {f"MESHGATE_PEER_{name.upper()}": ",".join(at) for name, at in addresses.items()}

    async def _start_redis(self, redis: RedisServer) -> str:
        """Start a server if it is ours; give its URL."""
        if not isinstance(redis, EmbeddedRedis):
            return redis.url
        [port] = await _on_free_ports(1, lambda port: self._supervisor.start(redis.program(port)))
        return redis.url(port)

    async def _start_service(
        self, name: str, kind: str, services: tuple[str, ...], peers: Mapping[str, str]
    ) -> ServiceProcess:
        async def start(*ports: int) -> None:
            process = ServiceProcess(name, kind, services, *ports)
            program = self._program(process, peers)
            await self._supervisor.start(program, self._remaining_seconds())

        return ServiceProcess(name, kind, services, *await _on_free_ports(2, start))

    def _program(self, process: ServiceProcess, peers: Mapping[str, str]) -> Program:
        notice = _DRAIN_NOTICE if "routing" in process.services else _DRAIN_NOTICE_BEHIND
        variables = {
            "MESHGATE_DRAIN_NOTICE": notice,
            "MESHGATE_DRAIN_GRACE": _DRAIN_GRACE,
            **self._plan.variables,
            **peers,
            "MESHGATE_MESH_TOKEN": self._token,
            "MESHGATE_LISTEN": process.address,
            "MESHGATE_METRICS_LISTEN": process.metrics_address,
        }
        for service in process.services:
            variables |= self._plan.private.get(service, {})
            if service in _USE_REDIS:
                server, variable = _USE_REDIS[service]
                variables[variable] = self._redis_urls[server]
        return Program(
            process.name,
            (sys.executable, "-m", "meshgate.cli.main", "serve", *process.services),
            variables,
            lambda: HealthProbe(process.address),
            _drain_seconds(Environment(variables)) + _STOP_SLACK_SECONDS,
        )

    def _edge(self) -> Program:
        config = self._plan.directory / "envoy.yaml"
        settings = EdgeSettings(
            listen=self._plan.public,
            routing=self._addresses("routing"),
            auth=self._addresses("auth"),
            quota=self._addresses("quota"),
            files=laptop_files(),
            admin_socket=PurePosixPath(self._plan.admin_socket),
            access_log=PurePosixPath(self._plan.access_log),
            health_check_interval_seconds=_HEALTH_CHECK_SECONDS,
            traces=TracingSettings.read(Environment(self._plan.variables)),
        )
        write(settings, config)
        variables = self._plan.variables
        return Program(
            EDGE,
            tuple(binary.command(binary.find(variables), config)),
            # Whoever faces the world holds no secrets.
            {name: variables[name] for name in _ENVOY_VARIABLES if name in variables},
            lambda: PageProbe(self._plan.grpc_target, "/readyz"),
            _EDGE_STOP_SECONDS,
        )

    def _addresses(self, service: str) -> tuple[Address, ...]:
        return tuple(
            Address(LOOPBACK, process.port)
            for process in self._processes
            if service in process.services
        )

    def _remaining_seconds(self) -> float:
        return max(0.0, self._deadline - asyncio.get_running_loop().time())


async def _together(starts: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do them all at once; the first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(start) for start in starts]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _on_free_ports(count: int, start: Callable[..., Awaitable[None]]) -> tuple[int, ...]:
    """Start a process on ports that are free; on others if somebody else took one meanwhile.

    Raises:
        StartError: It does not start, and not for its ports.
    """
    attempts_left = _PORT_ATTEMPTS
    while True:
        attempts_left -= 1
        ports = tuple(free_port() for _ in range(count))
        try:
            await start(*ports)
        except StartError:
            if not attempts_left or all(is_free(LOOPBACK, port) for port in ports):
                raise
        else:
            return ports


def _drain_seconds(env: Environment) -> float:
    return env.seconds("MESHGATE_DRAIN_NOTICE", 0.0) + env.seconds("MESHGATE_DRAIN_GRACE", 0.0)
