"""What no well-behaved client sends, on both stacks: an answer, and the next call is served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from runtime.binding import BOUND_SECONDS, IDENTITY, asking, bound, read, streaming, until
from runtime.hosting import plain_channel
from runtime.scripted import ScriptedProvider

from meshgate.runtime.interception import intercepted
from meshgate.runtime.limits import Limits
from meshgate.runtime.server import make_server
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1 import provider_service_pb2_grpc as rpc

EXECUTE = "/meshgate.v1.ProviderService/Execute"
LIMITS = Limits(message_bytes=100_000, metadata_bytes=32 * 1024)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.fixture(params=["grpc", "native"])
async def port(request: pytest.FixtureRequest) -> AsyncIterator[int]:
    methods = intercepted(ScriptedProvider().implementation(), IDENTITY)
    server = make_server(request.param, methods, LIMITS)
    yield await server.start("127.0.0.1:0")
    await server.stop(0)


@pytest.fixture
async def channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with plain_channel(port) as channel:
        yield channel


async def expect_service(channel: Any) -> None:
    answer = await rpc.ProviderServiceStub(channel).Execute(
        asking("echo", b"still here"), timeout=BOUND_SECONDS
    )
    assert answer.answer.body == b"still here"


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code()


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 4096,
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        PREFACE + b"\xff" * 4096,
        PREFACE + SETTINGS + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",
        PREFACE + SETTINGS + b"\x00\x00\x05\x00\x01\x00\x00\x00\x07hello",
        PREFACE + SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        PREFACE[:10],
        b"",
    ],
    ids=[
        "zeros",
        "HTTP/1",
        "TLS",
        "no frames",
        "broken headers",
        "data without headers",
        "an endless frame",
        "half a preface",
        "nothing",
    ],
)
async def test_garbage_on_a_connection_harms_nobody_else(
    port: int, channel: grpc.aio.Channel, data: bytes
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()

    await expect_service(channel)

    writer.close()
    await expect_service(channel)


async def test_many_connections_that_are_dropped_harm_nobody_else(
    port: int, channel: grpc.aio.Channel
) -> None:
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PREFACE + SETTINGS)
        writer.transport.abort()

    await expect_service(channel)


@pytest.mark.parametrize("payload", [b"\xff" * 10, b"\x0a\x7f", bytes(50)])
async def test_a_payload_that_is_no_message_is_refused(
    channel: grpc.aio.Channel, payload: bytes
) -> None:
    code = await code_of(channel.unary_unary(EXECUTE)(payload, timeout=BOUND_SECONDS))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    await expect_service(channel)


@pytest.mark.parametrize(
    "path",
    ["/meshgate.v1.ProviderService/Nothing", "/nothing.Service/Execute", "/", "/a", "//"],
)
async def test_a_method_that_is_not_there_is_unimplemented(
    channel: grpc.aio.Channel, path: str
) -> None:
    code = await code_of(channel.unary_unary(path)(b"", timeout=BOUND_SECONDS))

    assert code == grpc.StatusCode.UNIMPLEMENTED
    await expect_service(channel)


async def test_a_message_over_the_limit_is_refused(channel: grpc.aio.Channel) -> None:
    stub = rpc.ProviderServiceStub(channel)
    body = bytes(LIMITS.message_bytes + 1)

    plain = await code_of(stub.Execute(asking("echo", body), timeout=BOUND_SECONDS))
    streamed = await code_of(
        read(stub.StreamExecute(streaming("three", body), timeout=BOUND_SECONDS), [])
    )

    assert plain == streamed == grpc.StatusCode.RESOURCE_EXHAUSTED
    await expect_service(channel)


async def test_metadata_over_the_limit_is_refused(channel: grpc.aio.Channel) -> None:
    call = rpc.ProviderServiceStub(channel).Execute(
        asking("echo"),
        metadata=(("x-large", "x" * 2 * LIMITS.metadata_bytes),),
        timeout=BOUND_SECONDS,
    )

    code = await code_of(call)

    assert code != grpc.StatusCode.DEADLINE_EXCEEDED
    await expect_service(channel)


@pytest.mark.parametrize("count", [0, 2])
async def test_a_plain_call_with_no_or_several_messages_harms_nobody_else(
    channel: grpc.aio.Channel, count: int
) -> None:
    requests = [asking("echo").SerializeToString()] * count
    call = channel.stream_unary(EXECUTE)(iter(requests), timeout=2)

    with suppress(grpc.aio.AioRpcError):
        await call

    await expect_service(channel)


async def test_calls_cancelled_before_they_begin_leave_nothing_behind(
    channel: grpc.aio.Channel,
) -> None:
    stub = rpc.ProviderServiceStub(channel)
    before = len(asyncio.all_tasks())

    for _ in range(100):
        stub.Execute(asking("hang"), timeout=BOUND_SECONDS).cancel()
        stub.StreamExecute(streaming("hang"), timeout=BOUND_SECONDS).cancel()

    await expect_service(channel)
    await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_deadline_that_has_passed_is_kept(channel: grpc.aio.Channel) -> None:
    code = await code_of(rpc.ProviderServiceStub(channel).Execute(asking("hang"), timeout=0))

    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    await expect_service(channel)


async def test_a_compressed_message_is_read_or_refused(channel: grpc.aio.Channel) -> None:
    call = rpc.ProviderServiceStub(channel).Execute(
        asking("echo", bytes(10_000)),
        compression=grpc.Compression.Gzip,
        timeout=BOUND_SECONDS,
    )

    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED  # noqa: PT017 - either will do
    else:
        assert answer.answer.body == bytes(10_000)
    await expect_service(channel)


class WrongAnswers(ScriptedProvider):
    """Answers with what is no answer of the contract."""

    async def Execute(self, request: Any, context: Any) -> Any:
        return await super().Execute(request, context) if request.body else None

    async def StreamExecute(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield "a string"


@pytest.mark.parametrize("binding", ["in-process", "grpc", "native"])
async def test_an_answer_that_cannot_be_sent_is_an_internal_error(binding: str) -> None:
    async with bound(binding, WrongAnswers()) as channel:
        stub = rpc.ProviderServiceStub(channel)

        plain = await code_of(stub.Execute(pb.ExecuteRequest(), timeout=BOUND_SECONDS))
        streamed = await code_of(
            read(stub.StreamExecute(streaming("any"), timeout=BOUND_SECONDS), [])
        )

        assert plain == streamed == grpc.StatusCode.INTERNAL
        await expect_service(channel)
