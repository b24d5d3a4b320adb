"""serve(): the one way to host services."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, Self

import structlog

from meshgate.runtime import memory
from meshgate.runtime.environment import Environment
from meshgate.runtime.health import Health
from meshgate.runtime.instance import InstanceServicer
from meshgate.runtime.interception import intercepted
from meshgate.runtime.limits import Limits
from meshgate.runtime.native import NativeServer
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Assembly, Method, Service
from meshgate.runtime.settings import ServerSettings, Stack
from meshgate.runtime.telemetry import serve_metrics

_log = structlog.get_logger("meshgate.server")

Assemble = Callable[[Environment, Peers], Assembly]
"""Builds a service from its settings and its peers."""


class Server(Protocol):
    """A gRPC server, whichever stack it is on."""

    async def start(self, address: str) -> int:
        """Begin to serve at `host:port` and return the port."""

    async def stop(self, grace_seconds: float) -> None:
        """Let calls in flight end, cancel what is left after `grace_seconds`, and close."""


def make_server(stack: Stack, methods: Iterable[Method], limits: Limits | None = None) -> Server:
    """A server for methods, on the stack that is asked for."""
    methods = tuple(methods)
    limits = limits or Limits()
    if stack == "native":
        return NativeServer(methods, limits)
    # Here, for hardly anybody asks for it.
    from meshgate.runtime.grpcio import GrpcioServer  # noqa: PLC0415

    return GrpcioServer(methods, limits, {method.service_name for method in methods})


@dataclass(frozen=True)
class Running:
    """Services that serve.

    Attributes:
        port: Where.
        health: What the others see.
    """

    port: int
    health: Health


@asynccontextmanager
async def running(
    assemblies: Mapping[str, Assemble], env: Environment, settings: ServerSettings
) -> AsyncIterator[Running]:
    """Host services for as long as the block lasts, and drain at its end.

    Services are assembled in the order given, so those that others call come first.
    """
    async with AsyncExitStack() as stack:
        peers = await stack.enter_async_context(Peers(env, settings.identity))
        health = Health()
        methods = list(intercepted(health.implementation(), settings.identity))
        instance = InstanceServicer()
        described = intercepted(instance.implementation(), settings.identity)
        methods += described
        services = []
        with memory.loading():  # each may load more
            for assemble in assemblies.values():
                service = await stack.enter_async_context(assemble(env, peers))
                hosted = _methods(service, settings)
                instance.add(service)
                peers.host(service.name, (*hosted, *described))
                methods += hosted
                services.append(service)
        tasks = await stack.enter_async_context(_TaskGroup())
        stack.callback(tasks.cancel)
        tasks.start(services)
        server = make_server(settings.stack, methods)
        port = await server.start(settings.listen)
        stack.push_async_callback(_drain, server, health, services, settings)
        memory.settle()
        _let_generators_go()
        health.serve()
        _log.info("serving", services=list(assemblies), port=port, stack=settings.stack)
        yield Running(port, health)


async def serve(
    assemblies: Mapping[str, Assemble], env: Environment, settings: ServerSettings
) -> None:
    """Host services until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = serve_metrics(settings.metrics_listen) if settings.metrics_listen else None
    try:
        async with running(assemblies, env, settings):
            await stop.wait()
            _log.info("draining")
    finally:
        if metrics is not None:
            metrics.shutdown()
            metrics.server_close()


def _methods(service: Service, settings: ServerSettings) -> list[Method]:
    return [
        method
        for implementation in service.implementations
        for method in intercepted(implementation, settings.identity)
    ]


def _let_generators_go() -> None:
    """Spare each async generator its entry in the loop's list of those that live.

    That list is for closing them when the loop ends; here whoever iterates closes what it began.
    """
    sys.set_asyncgen_hooks(firstiter=None, finalizer=sys.get_asyncgen_hooks().finalizer)


async def _drain(
    server: Server, health: Health, services: Sequence[Service], settings: ServerSettings
) -> None:
    """Tell everyone first, then close the door, then let those inside finish."""
    health.drain()
    try:
        await asyncio.sleep(settings.drain_notice_seconds)
    finally:
        health.close()
        for service in services:
            service.drain()
        await server.stop(settings.drain_grace_seconds)


class _TaskGroup:
    """The tasks that services run beside answering; one that fails ends the process."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        try:
            await self._group.__aexit__(*exception)  # type: ignore[arg-type]
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            # One thing went wrong: that is what the process says, not that a group of one did.
            raise group.exceptions[0] from None

    def start(self, services: Sequence[Service]) -> None:
        for service in services:
            for name, task in service.tasks.items():
                self._tasks.append(
                    self._group.create_task(_awaited(task), name=f"{service.name}: {name}")
                )

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _awaited(task: Callable[[], object]) -> None:
    await task()  # type: ignore[misc]
