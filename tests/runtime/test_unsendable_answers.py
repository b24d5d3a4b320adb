"""An answer that cannot be sent is its own call's failure: those that leave with it are not lost."""

import asyncio
from typing import Any

import grpc
import pytest

from meshgate.runtime.limits import Limits
from meshgate.runtime.native import NativeServer
from meshgate.runtime.service import Method
from meshgate.v1 import status_service_pb2 as pb

UNSENDABLE = (("x-bad", "two\nlines"),)


async def good(_request: Any, _context: Any) -> pb.GetLivenessResponse:
    return pb.GetLivenessResponse(status="ok")


async def bad(_request: Any, context: Any) -> pb.GetLivenessResponse:
    await context.send_initial_metadata(UNSENDABLE)
    return pb.GetLivenessResponse(status="ok")


async def streamed(_request: Any, context: Any) -> Any:
    await context.send_initial_metadata(UNSENDABLE)
    yield pb.GetLivenessResponse(status="ok")


def method(name: str, handler: Any, *, response_streaming: bool = False) -> Method:
    types = (pb.GetLivenessRequest, pb.GetLivenessResponse)
    return Method(f"/test.Service/{name}", *types, False, response_streaming, handler)


@pytest.fixture
async def channel() -> Any:
    methods = [
        method("Good", good),
        method("Bad", bad),
        method("Streamed", streamed, response_streaming=True),
    ]
    server = NativeServer(methods, Limits())
    port = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


async def test_those_that_leave_with_it_are_answered(channel: grpc.aio.Channel) -> None:
    names = ("Bad", "Good", "Bad", "Good")
    calls = [channel.unary_unary(f"/test.Service/{name}")(b"", timeout=20) for name in names]

    ended = await asyncio.gather(*(call.code() for call in calls))

    assert ended == [
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.OK,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.OK,
    ]


async def test_a_stream_that_cannot_begin_fails(channel: grpc.aio.Channel) -> None:
    call = channel.unary_stream("/test.Service/Streamed")(b"", timeout=20)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        [message async for message in call]

    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert raised.value.details() == "internal error"
