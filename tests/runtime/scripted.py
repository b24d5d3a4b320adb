"""A provider service that does what a test tells it, to try bindings with."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import InvalidRequestError, UpstreamRateLimitedError
from meshgate.runtime.service import Implementation
from meshgate.v1 import provider_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["ProviderService"]


class ScriptedProvider:
    """Does what the target's model says; tells what became of its calls."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Event()
        self.sent = 0
        self.seconds_left: float | None = None
        self.metadata: dict[str, Any] = {}
        self.seen: list[Any] = []

    def implementation(self, *, internal: bool = False) -> Implementation:
        return Implementation(SERVICE, self, internal=internal)

    async def Execute(self, request: Any, context: Any) -> pb.ExecuteResponse:
        self._enter(request, context)
        match request.target.model:
            case "echo":
                return pb.ExecuteResponse(answer=pb.Answer(body=request.body))
            case "limited":
                raise UpstreamRateLimitedError(
                    "gpt-x is out of capacity", retry_after_seconds=1.5, model="gpt-x"
                )
            case "broken":
                raise RuntimeError(request.body.decode())
            case "refusing":
                raise InvalidRequestError(request.body.decode())
            case "cancelling":
                raise asyncio.CancelledError
            case "patient":
                await self.go_on.wait()
                return pb.ExecuteResponse()
            case "changing":
                request.body = b"changed by the servicer"
                return pb.ExecuteResponse()
        return await self._hang()

    async def SubmitExecutes(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)

    async def CancelExecutes(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)

    async def WatchResults(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)
        yield

    async def UploadExecute(self, request: Any, context: Any) -> AsyncIterator[Any]:
        raise AssertionError("nothing is uploaded here")
        yield

    async def StreamExecute(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._enter(request, context)
        match request.target.model:
            case "flood" | "reusing" as model:
                async for response in self._many(model, request.body):
                    yield response
                return
            case "late-failure":
                yield pb.StreamExecuteResponse(chunk=b"one")
                raise UpstreamRateLimitedError("gpt-x is out of capacity", model="gpt-x")
            case "limited":
                raise UpstreamRateLimitedError("gpt-x is out of capacity", model="gpt-x")
            case "three":
                for chunk in (b"one", b"two", b"three"):
                    yield pb.StreamExecuteResponse(chunk=chunk)
                return
        yield pb.StreamExecuteResponse(chunk=b"one")
        await self._wait(request.target.model)
        yield pb.StreamExecuteResponse(chunk=b"two")

    async def ListTargets(self, request: Any, context: Any) -> pb.ListTargetsResponse:
        return pb.ListTargetsResponse()

    def _enter(self, request: Any, context: Any) -> None:
        self.seconds_left = Deadline.from_context(context).seconds_left()
        self.metadata = dict(context.invocation_metadata())
        self.seen.append(request)
        self.entered.set()

    async def _flood(self, chunk: bytes) -> AsyncIterator[Any]:
        try:
            while True:
                self.sent += 1
                yield pb.StreamExecuteResponse(chunk=chunk)
        finally:
            self.cancelled.set()

    def _many(self, model: str, body: bytes) -> AsyncIterator[Any]:
        return self._flood(body) if model == "flood" else self._reused()

    async def _wait(self, model: str) -> Any:
        return await (self.go_on.wait() if model == "patient" else self._hang())

    async def _reused(self) -> AsyncIterator[Any]:
        response = pb.StreamExecuteResponse()
        for chunk in (b"one", b"two", b"three"):
            response.chunk = chunk
            yield response

    async def _hang(self) -> Any:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
