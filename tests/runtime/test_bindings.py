"""The same calls over every binding: in-process, and remote on both server stacks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from runtime.binding import BOUND_SECONDS, asking, bound, read, settled, streaming
from runtime.scripted import ScriptedProvider

from meshgate.runtime.errors import UpstreamRateLimitedError
from meshgate.runtime.status import error_of_call
from meshgate.v1 import provider_service_pb2_grpc as rpc


@pytest.fixture(params=["in-process", "grpc", "native"])
def binding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
async def stub(binding: str, provider: ScriptedProvider) -> AsyncIterator[Any]:
    async with bound(binding, provider) as channel:
        yield rpc.ProviderServiceStub(channel)


async def test_an_answer_comes_back(stub: Any) -> None:
    response = await stub.Execute(asking("echo", b"hello"), timeout=BOUND_SECONDS)

    assert response.answer.body == b"hello"


async def test_a_stream_comes_back_in_order(stub: Any) -> None:
    chunks = [response.chunk async for response in stub.StreamExecute(streaming("three"))]

    assert chunks == [b"one", b"two", b"three"]


async def test_a_message_that_the_servicer_uses_again_arrives_as_it_was_sent(stub: Any) -> None:
    responses = [response async for response in stub.StreamExecute(streaming("reusing"))]

    assert [response.chunk for response in responses] == [b"one", b"two", b"three"]


async def test_a_message_that_was_sent_cannot_be_changed_by_the_other_side(stub: Any) -> None:
    request = asking("changing", b"as sent")

    await stub.Execute(request, timeout=BOUND_SECONDS)

    assert request.body == b"as sent"


async def test_metadata_reaches_the_servicer(stub: Any, provider: ScriptedProvider) -> None:
    await stub.Execute(asking("echo"), metadata=(("x-request-id", "r-1"),))

    assert provider.metadata["x-request-id"] == "r-1"


async def test_an_error_arrives_with_code_reason_values_and_retry(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Execute(asking("limited"), timeout=BOUND_SECONDS)

    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert raised.value.details() == "gpt-x is out of capacity"
    assert dict(raised.value.trailing_metadata())["retry-after"] == "2"
    error = error_of_call(raised.value, "provider")
    assert type(error) is UpstreamRateLimitedError
    assert error.values == {"model": "gpt-x"}
    assert error.retry_after_seconds == 1.5


@pytest.mark.parametrize(("model", "before"), [("limited", []), ("late-failure", [b"one"])])
async def test_a_stream_may_end_with_an_error(stub: Any, model: str, before: list[bytes]) -> None:
    chunks: list[bytes] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await read(stub.StreamExecute(streaming(model), timeout=BOUND_SECONDS), chunks)

    assert chunks == before
    assert error_of_call(raised.value, "provider").values == {"model": "gpt-x"}


async def test_an_unexpected_exception_says_internal_error_only(
    stub: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Execute(asking("broken", b"secret detail"), timeout=BOUND_SECONDS)

    assert raised.value.code() == grpc.StatusCode.INTERNAL
    assert raised.value.details() == "internal error"
    captured = capsys.readouterr()
    assert "unexpected exception" in captured.out + captured.err
    assert "secret detail" not in captured.out + captured.err


async def test_a_cancellation_that_nobody_asked_for_is_an_internal_error(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Execute(asking("cancelling"), timeout=BOUND_SECONDS)

    assert raised.value.code() == grpc.StatusCode.INTERNAL


async def test_a_stranger_is_refused(binding: str, provider: ScriptedProvider) -> None:
    async with bound(binding, provider) as channel:
        channel._metadata = ()

        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.ProviderServiceStub(channel).Execute(asking("echo"))

    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert provider.seen == []


async def test_the_servicer_knows_how_long_it_may_take(
    stub: Any, provider: ScriptedProvider
) -> None:
    await stub.Execute(asking("echo"), timeout=7)

    assert provider.seconds_left is not None
    assert 0 < provider.seconds_left < 7.1  # the wire rounds it


async def test_a_call_past_its_deadline_ends_on_both_sides(
    stub: Any, provider: ScriptedProvider
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Execute(asking("hang"), timeout=0.05)

    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(BOUND_SECONDS):
        await provider.cancelled.wait()


async def test_a_stream_past_its_deadline_ends_on_both_sides(
    stub: Any, provider: ScriptedProvider
) -> None:
    chunks: list[bytes] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await read(stub.StreamExecute(streaming("hang"), timeout=0.1), chunks)

    assert chunks == [b"one"]
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(BOUND_SECONDS):
        await provider.cancelled.wait()


async def test_cancelling_the_waiting_task_cancels_the_handler(
    stub: Any, provider: ScriptedProvider
) -> None:
    async def ask() -> None:
        await stub.Execute(asking("hang"), timeout=BOUND_SECONDS)

    task = asyncio.create_task(ask())
    async with asyncio.timeout(BOUND_SECONDS):
        await provider.entered.wait()
        task.cancel()
        await provider.cancelled.wait()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_a_call_cancels_the_handler(stub: Any, provider: ScriptedProvider) -> None:
    call = stub.Execute(asking("hang"), timeout=BOUND_SECONDS)
    waiting = asyncio.ensure_future(call)
    async with asyncio.timeout(BOUND_SECONDS):
        await provider.entered.wait()
        call.cancel()
        await provider.cancelled.wait()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_cancelling_a_stream_cancels_the_handler(
    stub: Any, provider: ScriptedProvider
) -> None:
    call = stub.StreamExecute(streaming("hang"), timeout=BOUND_SECONDS)

    reading = asyncio.create_task(read(call, []))
    async with asyncio.timeout(BOUND_SECONDS):
        await provider.entered.wait()
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([reading])

    assert reading.cancelled()
    async with asyncio.timeout(BOUND_SECONDS):
        await provider.cancelled.wait()


async def test_cancelling_the_task_that_reads_a_stream_cancels_the_handler(
    stub: Any, provider: ScriptedProvider
) -> None:
    call = stub.StreamExecute(streaming("hang"), timeout=BOUND_SECONDS)
    reading = asyncio.create_task(read(call, []))
    async with asyncio.timeout(BOUND_SECONDS):
        await provider.entered.wait()
        reading.cancel()
        await provider.cancelled.wait()

    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_message_of_20_mb_passes_both_ways(stub: Any) -> None:
    body = bytes(20_000_000)

    response = await stub.Execute(asking("echo", body), timeout=BOUND_SECONDS)

    assert response.answer.body == body


async def test_a_reader_that_stalls_holds_the_sender_back(
    stub: Any, provider: ScriptedProvider
) -> None:
    chunk = bytes(64 * 1024)
    call = stub.StreamExecute(streaming("flood", chunk), timeout=BOUND_SECONDS)
    stream = aiter(call)
    await anext(stream)

    sent = await settled(lambda: provider.sent)

    assert sent * len(chunk) < 32_000_000
    call.cancel()


async def test_stalled_readers_do_not_hold_others_back(stub: Any) -> None:
    chunk = bytes(64 * 1024)
    stalled = [
        stub.StreamExecute(streaming("flood", chunk), timeout=BOUND_SECONDS) for _ in range(8)
    ]
    for call in stalled:
        await anext(aiter(call))

    read = 0
    async with asyncio.timeout(BOUND_SECONDS):
        call = stub.StreamExecute(streaming("flood", chunk), timeout=BOUND_SECONDS)
        async for response in call:
            read += len(response.chunk)
            if read > 50_000_000:
                break
    call.cancel()
    plain = await stub.Execute(asking("echo", b"still here"), timeout=BOUND_SECONDS)

    assert plain.answer.body == b"still here"
    for call in stalled:
        call.cancel()
