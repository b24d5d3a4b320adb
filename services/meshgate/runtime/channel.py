"""A channel to all instances of a peer, each over a connection of its own.

Every call goes to the serving instance with the fewest calls in flight. Addresses are resolved
again every few seconds, and an instance is left out as soon as its health turns NOT_SERVING or its
connection is lost, so that new replicas get traffic at once and draining ones none. Only where
nobody serves, those that drain still take calls, as they do until their notice is over.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meshgate.runtime.context import Metadata
from meshgate.runtime.deadline import DEFAULT_SECONDS
from meshgate.runtime.lookup import Address, NameLookup

_log = structlog.get_logger("meshgate.channel")

_RESOLVE_SECONDS = 3.0
# Where nobody serves: the one who does may have come back at another address.
_RESOLVE_SOON_SECONDS = 0.5
_WATCH_SECONDS = 3600.0
_RETRY_SECONDS = (0.05, 1.0)
_LARGEST_PORT = 65535

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 96 * 1024),
    ("grpc.absolute_max_metadata_size", 96 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # For how long to try to connect: by default 20 s, and all that while an instance that is back
    # at its old address waits, where the first packets met nobody.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A stream's window stays small, so that a reader that stalls cannot hold back the others.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 256 * 1024),
]

Lookup = Callable[[str, int], Awaitable[set[Address]]]


@dataclass(eq=False)
class Instance:
    """One instance of the peer; generated stubs work over it, for calls that belong together.

    Attributes:
        draining: Told that it is about to go, it still takes calls.
        in_flight: What it works on; whoever calls over the instance itself counts it here, with
            `took` and `landed`, unless it may be cut off when the instance is no longer listed.
    """

    address: Address
    channel: grpc.aio.Channel
    metadata: Metadata = ()
    serving: bool = False
    draining: bool = False
    in_flight: int = 0
    watch: asyncio.Task[None] | None = None
    callables: dict[str, Any] = field(default_factory=dict)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._idle.set()

    def took(self) -> None:
        self.in_flight += 1
        self._idle.clear()

    def landed(self) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()

    def unary_unary(self, path: str, **codec: Any) -> Callable[..., Any]:
        return self._callable(self.channel.unary_unary(path, **codec))

    def unary_stream(self, path: str, **codec: Any) -> Callable[..., Any]:
        return self._callable(self.channel.unary_stream(path, **codec))

    def stream_stream(self, path: str, **codec: Any) -> Callable[..., Any]:
        return self._callable(self.channel.stream_stream(path, **codec))

    def _callable(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(
            request: Any = None, *, timeout: float | None = DEFAULT_SECONDS, metadata: Metadata = ()
        ) -> Any:
            return method(request, timeout=timeout, metadata=(*metadata, *self.metadata))

        return call

    async def close(self, grace_seconds: float = 0) -> None:
        """Let what is in flight end, for `grace_seconds` at most, and close."""
        if self.watch is not None:
            # First: a watch is a call too, and ends no sooner than the peer.
            self.watch.cancel()
            await asyncio.wait([self.watch])
        if grace_seconds and self.in_flight:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self._idle.wait()
        await self.channel.close()
        # grpc tries to connect until the channel is freed. In a cycle it would not be, for garbage is
        # collected rarely here: and a cancelled task holds the frames that it was cancelled in.
        self.watch = None
        self.callables.clear()


class RemoteChannel:
    """A channel to every instance behind some addresses; generated stubs work over it.

    Calls take `instance=` too, one that was picked before.

    Args:
        name: The peer's name, for logs and errors.
        addresses: `host:port` each; a host name stands for all addresses that it resolves to.
        metadata: Goes with every call.
        credentials: For TLS; None for a plain connection.
        lookup: Finds the addresses of a host; raises OSError or UnicodeError if it cannot.
        rest_seconds: The time between two lookups while all is well.
    """

    def __init__(
        self,
        name: str,
        addresses: Sequence[str],
        metadata: Metadata,
        credentials: grpc.ChannelCredentials | None = None,
        lookup: Lookup | None = None,
        rest_seconds: float = _RESOLVE_SECONDS,
    ) -> None:
        self._name = name
        self._found: dict[Address, set[Address]] = {_split(text): set() for text in addresses}
        self._metadata = tuple(metadata)
        self._credentials = credentials
        self._lookup = lookup or NameLookup()
        self._rest_seconds = rest_seconds
        self._instances: dict[Address, Instance] = {}
        self._leaving: dict[asyncio.Task[None], Instance] = {}
        self._turns = itertools.count()
        self._lost = asyncio.Event()

    @property
    def instance_count(self) -> int:
        return len(self._instances)

    @property
    def instances(self) -> Sequence[Instance]:
        """Every instance that is known, serving or not."""
        return tuple(self._instances.values())

    @property
    def serving_count(self) -> int:
        return sum(instance.serving for instance in self._instances.values())

    async def run(self) -> None:
        """Keep the list of instances up to date, until cancelled."""
        while True:
            await self.resolve()
            if self.serving_count:
                await self._rest()
            else:
                await asyncio.sleep(_RESOLVE_SOON_SECONDS)

    async def _rest(self) -> None:
        """Wait for the time between two lookups, but no longer than until an instance is lost."""
        self._lost.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rest_seconds):
                await self._lost.wait()

    async def resolve(self) -> None:
        """Look the addresses up once, and meet or leave instances accordingly."""
        await asyncio.gather(*(self._find(host, port) for host, port in self._found))
        found = set().union(*self._found.values())
        for address in found - self._instances.keys():
            self._meet(address)
        for address in self._instances.keys() - found:
            self._leave(self._instances.pop(address))

    async def _find(self, host: str, port: int) -> None:
        try:
            self._found[host, port] = await self._lookup(host, port)
        except (OSError, UnicodeError):
            # What was found before stays: a name server that is away takes no instance away.
            _log.warning("peer cannot be resolved", peer=self._name, host=host)

    async def close(self) -> None:
        """Cut off what is in flight, and close."""
        instances = [*self._instances.values(), *self._leaving.values()]
        leaving = list(self._leaving)
        self._instances = {}
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await asyncio.gather(*(instance.close() for instance in instances))

    def unary_unary(self, path: str, **codec: Any) -> Callable[..., Any]:
        return self._callable(path, lambda channel: channel.unary_unary(path, **codec))

    def unary_stream(self, path: str, **codec: Any) -> Callable[..., Any]:
        return self._callable(path, lambda channel: channel.unary_stream(path, **codec))

    def stream_stream(self, path: str, **codec: Any) -> Callable[..., Any]:
        return self._callable(path, lambda channel: channel.stream_stream(path, **codec))

    def _callable(self, path: str, make: Callable[[grpc.aio.Channel], Any]) -> Callable[..., Any]:
        def call(
            request: Any = None,  # streamed requests may be written later
            *,
            timeout: float = DEFAULT_SECONDS,
            metadata: Metadata = (),
            instance: Instance | None = None,
        ) -> Any:
            instance = instance or self.pick()
            method = instance.callables.get(path)
            if method is None:
                method = instance.callables[path] = make(instance.channel)
            running = method(request, timeout=timeout, metadata=(*metadata, *self._metadata))
            instance.took()
            running.add_done_callback(lambda _: instance.landed())
            return running

        return call

    def pick(self) -> Instance:
        """The serving instance with the fewest calls in flight; equals take turns.

        Raises:
            AioRpcError: None is serving, and none is draining either.
        """
        instances = self._instances.values()
        serving = [instance for instance in instances if instance.serving]
        serving = serving or [instance for instance in instances if instance.draining]
        if not serving:
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNAVAILABLE,
                grpc.aio.Metadata(),
                grpc.aio.Metadata(),
                details=f"no instance of {self._name} is serving",
            )
        if len(serving) == 1:
            return serving[0]
        turn = next(self._turns) % len(serving)
        return min(serving[turn:] + serving[:turn], key=lambda instance: instance.in_flight)

    def _meet(self, address: Address) -> None:
        target = _target(address)
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        else:
            channel = grpc.aio.secure_channel(target, self._credentials, options=_OPTIONS)
        instance = Instance(address, channel, self._metadata)
        instance.watch = asyncio.create_task(self._watch(instance), name=f"watch {target}")
        self._instances[address] = instance

    def _leave(self, instance: Instance) -> None:
        """Close an instance that is no longer listed, after the calls it still answers."""
        instance.serving = instance.draining = False
        task = asyncio.create_task(instance.close(DEFAULT_SECONDS))
        self._leaving[task] = instance
        task.add_done_callback(self._leaving.pop)

    async def _watch(self, instance: Instance) -> None:
        stub: Any = health_pb2_grpc.HealthStub(instance.channel)
        for wait_seconds in _waits():
            try:
                call = stub.Watch(health_pb2.HealthCheckRequest(), timeout=_WATCH_SECONDS)
                async for health in call:
                    serving = health.status == health_pb2.HealthCheckResponse.SERVING
                    self._turn(instance, serving=serving, draining=not serving)
                self._turn(instance, serving=False)  # a peer that ends the watch is closing
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                    continue  # an hour has passed: watch on
                self._turn(instance, serving=False)
            await asyncio.sleep(wait_seconds)

    def _turn(self, instance: Instance, *, serving: bool, draining: bool = False) -> None:
        if (instance.serving or instance.draining) and not (serving or draining):
            self._lost.set()
        instance.draining = draining
        if instance.serving != serving:
            instance.serving = serving
            _log.info(
                "peer is serving" if serving else "peer is not serving",
                peer=self._name,
                address=_target(instance.address),
            )


def _waits() -> Iterator[float]:
    """Seconds between tries to reach an instance, with jitter."""
    while True:
        yield random.uniform(*_RETRY_SECONDS) / 2  # noqa: S311 - spread, not secrecy


def _split(address: str) -> Address:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) <= _LARGEST_PORT:
        raise ValueError(f"{address!r} is not host:port")
    return host, int(port)


def _target(address: Address) -> str:
    host, port = address
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


def parse_addresses(text: str) -> list[str]:
    """The addresses of `host:port,host:port`.

    Raises:
        ValueError: One of them is not `host:port`, or there is none.
    """
    addresses = [part.strip() for part in text.split(",") if part.strip()]
    if not addresses:
        raise ValueError(f"{text!r} holds no address")
    for address in addresses:
        _split(address)
    return addresses
