"""Every way to reach a service: in-process, and remote on both server stacks."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import grpc

from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.server import make_server
from meshgate.runtime.service import Implementation
from meshgate.runtime.settings import Stack

Binding = Callable[[Iterable[Implementation]], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def _in_process(implementations: Iterable[Implementation]) -> AsyncIterator[Any]:
    yield InProcessChannel(_methods(implementations), ())


@asynccontextmanager
async def _remote(stack: Stack, implementations: Iterable[Implementation]) -> AsyncIterator[Any]:
    server = make_server(stack, _methods(implementations))
    port = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


def _methods(implementations: Iterable[Implementation]) -> list[Any]:
    return [
        method
        for implementation in implementations
        for method in intercepted(implementation, MeshIdentity(None))
    ]


BINDINGS: Mapping[str, Binding] = {
    "in-process": _in_process,
    "grpc": partial(_remote, "grpc"),
    "native": partial(_remote, "native"),
}
