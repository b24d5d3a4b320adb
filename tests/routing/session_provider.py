"""An instance of provider whose attempts do what a test tells them, in sessions over the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
from routing.fakes import IDENTITY, PROVIDER, until

from meshgate.provider.sessions import Sessions as ProviderSessions
from meshgate.routing.peers.sessions import Sessions
from meshgate.runtime.channel import Address, RemoteChannel
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.health import Health
from meshgate.runtime.interception import intercepted
from meshgate.runtime.server import Server, make_server
from meshgate.runtime.service import Implementation
from meshgate.runtime.settings import Stack
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1.provider_service_pb2_grpc import ProviderServiceServicer


class Instance(ProviderServiceServicer):
    """Does what the target's model says, and tells what became of the attempts."""

    def __init__(self, stack: Stack, *, knows_sessions: bool = True) -> None:
        self.stack = stack
        self.knows_sessions = knows_sessions
        self.sessions = ProviderSessions(self.answer)
        self.health = Health()
        self.health.serve()
        self.port = 0
        self.refusing: Exception | None = None
        self.begun: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.seconds_left = 0.0
        self.unary = 0
        self.submits: list[int] = []
        self.watches = 0
        self.go_on = asyncio.Event()
        self.may_submit = asyncio.Event()
        self.may_submit.set()
        self.submitting = asyncio.Event()
        self._server: Server | None = None

    async def start(self) -> None:
        methods = (
            *intercepted(Implementation(PROVIDER, self, internal=True), IDENTITY),
            *intercepted(self.health.implementation(), IDENTITY),
        )
        self._server = make_server(self.stack, methods)
        self.port = await self._server.start(f"127.0.0.1:{self.port}")

    async def stop(self, grace_seconds: float = 0) -> None:
        if self._server is not None:
            self.health.close()
            await self._server.stop(grace_seconds)
            self._server = None

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.port)

    async def answer(self, request: Any, deadline: Deadline) -> Any:
        self.begun.append(request.body)
        self.seconds_left = deadline.seconds_left()
        try:
            match request.target.model:
                case "patient":
                    await self.go_on.wait()
                case "hang":
                    await asyncio.get_running_loop().create_future()
                case "large":
                    return answered(b"x" * int(request.body))
        except asyncio.CancelledError:
            self.cancelled.append(request.body)
            raise
        if self.refusing is not None:
            raise self.refusing
        return answered(request.body)

    async def Execute(self, request: Any, context: Any) -> Any:
        self.unary += 1
        return await self.answer(request, Deadline.from_context(context))

    async def SubmitExecutes(self, request: Any, context: Any) -> Any:
        self.submits.append(len(request.items))
        self.submitting.set()
        await self.may_submit.wait()
        self.sessions.submit(request.session_id, request.items)
        return pb.SubmitExecutesResponse()

    async def CancelExecutes(self, request: Any, context: Any) -> Any:
        self.sessions.cancel(request.session_id, request.tickets)
        return pb.CancelExecutesResponse()

    async def UploadExecute(self, request: Any, context: Any) -> AsyncIterator[Any]:
        raise AssertionError("nothing is uploaded here")
        yield

    async def WatchResults(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if not self.knows_sessions:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED)
        self.watches += 1
        async for results in self.sessions.results(request.session_id):
            yield pb.WatchResultsResponse(results=results)

    async def StreamExecute(self, request: Any, context: Any) -> AsyncIterator[Any]:
        raise NotImplementedError
        yield


def answered(body: bytes) -> Any:
    return pb.ExecuteResponse(answer=pb.Answer(body=body))


def asking(body: bytes = b"hello", model: str = "echo") -> Any:
    return pb.ExecuteRequest(target=pb.Target(provider="a", model=model), body=body)


class Bed:
    """Instances of provider, and routing's sessions with them."""

    def __init__(self, stack: Stack, identity: Any = IDENTITY) -> None:
        self.stack = stack
        self.addresses: set[Address] = set()
        self.channel = RemoteChannel(
            "provider", ["provider:9000"], identity.metadata(), lookup=self._lookup
        )
        self.sessions = Sessions(self.channel, quiet=-1)
        self._exit = AsyncExitStack()

    async def _lookup(self, _host: str, _port: int) -> set[Address]:
        return set(self.addresses)

    async def start(self, *, knows_sessions: bool = True) -> Instance:
        instance = Instance(self.stack, knows_sessions=knows_sessions)
        await instance.start()
        self._exit.push_async_callback(instance.stop)
        self.addresses.add(instance.address)
        await self.channel.resolve()
        await until(lambda: self.channel.serving_count == len(self.addresses))
        return instance

    async def close(self) -> None:
        await self.sessions.close()
        await self.channel.close()
        await self._exit.aclose()
