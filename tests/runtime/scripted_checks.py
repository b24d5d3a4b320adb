"""A guardrails service that does what the first message's policy says, to try calls both ways with."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from runtime.binding import IDENTITY, until

from meshgate.runtime.channel import RemoteChannel
from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.health import Health
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.server import make_server
from meshgate.runtime.service import Implementation
from meshgate.v1 import guardrails_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["GuardrailsService"]


class ScriptedChecks:
    """Tells what became of its calls."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.whole = asyncio.Event()
        self.taken = 0
        self.sent = 0
        self.metadata: dict[str, Any] = {}

    def implementation(self) -> Implementation:
        return Implementation(SERVICE, self, internal=True)

    async def BatchCheck(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)

    async def CheckStream(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        self.metadata = dict(context.invocation_metadata())
        self.entered.set()
        try:
            async for request in requests:
                self.taken += 1
                async for response in self._step(request.text.text):
                    yield response
            self.whole.set()
            yield pb.CheckStreamResponse(ended={})
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise

    async def _step(self, text: str) -> AsyncIterator[Any]:
        match text:
            case "hang":
                await asyncio.get_running_loop().create_future()
            case "refuse":
                yield released("before")
                raise InvalidRequestError("no", field="text")
            case "break":
                raise RuntimeError(" ".join(("secret", "detail")))
            case "flood":
                while True:
                    self.sent += 1
                    yield released("x" * 65_536)
            case _:
                yield released(text.upper())


def text(word: str) -> Any:
    return pb.CheckStreamRequest(text=pb.CheckStreamText(channel="c", text=word))


def released(word: str) -> Any:
    return pb.CheckStreamResponse(released=pb.CheckStreamReleased(channel="c", text=word))


async def texts(*words: str) -> AsyncIterator[Any]:
    for word in words:
        yield text(word)


@asynccontextmanager
async def instances(binding: str, services: Iterable[ScriptedChecks]) -> AsyncIterator[Any]:
    """A channel to all of them; in-process there can be only one."""
    services = list(services)
    if binding == "in-process":
        methods = intercepted(services[0].implementation(), IDENTITY)
        yield InProcessChannel(methods, IDENTITY.metadata())
        return
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(_served(binding, each)) for each in services]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        channel = RemoteChannel("guardrails", addresses, IDENTITY.metadata())
        stack.push_async_callback(channel.close)
        await channel.resolve()
        await until(lambda: channel.serving_count == len(services))
        yield channel


@asynccontextmanager
async def _served(binding: Any, service: ScriptedChecks) -> AsyncIterator[int]:
    health = Health()
    health.serve()
    implementations = (service.implementation(), health.implementation())
    server = make_server(
        binding, [method for each in implementations for method in intercepted(each, IDENTITY)]
    )
    port = await server.start("127.0.0.1:0")
    try:
        yield port
    finally:
        await server.stop(0)
