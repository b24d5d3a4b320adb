"""Calls in which both sides send as they like, over every binding."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from runtime.binding import BOUND_SECONDS, settled, until
from runtime.scripted_checks import ScriptedChecks, instances, text, texts

from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.status import error_of_call
from meshgate.v1.guardrails_service_pb2_grpc import GuardrailsServiceStub


@pytest.fixture(params=["in-process", "grpc", "native"])
def binding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def service() -> ScriptedChecks:
    return ScriptedChecks()


@pytest.fixture
async def stub(binding: str, service: ScriptedChecks) -> AsyncIterator[Any]:
    async with instances(binding, [service]) as channel:
        yield GuardrailsServiceStub(channel)


def called(stub: Any, *words: str, seconds: float = BOUND_SECONDS) -> Any:
    return stub.CheckStream(texts(*words), timeout=seconds)


async def said(call: Any, into: list[str]) -> None:
    async for response in call:
        text = response.released.text if response.HasField("released") else "."
        into.append(text)


async def happened(event: asyncio.Event) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        await event.wait()


async def endless(written: list[int]) -> AsyncIterator[Any]:
    while True:
        written.append(1)
        yield text("x" * 65_536)


async def test_each_request_of_an_iterator_is_answered_in_order(stub: Any) -> None:
    answers: list[str] = []

    await said(called(stub, "a", "b", "c"), answers)

    assert answers == ["A", "B", "C", "."]


async def test_requests_can_be_written_between_reads(stub: Any) -> None:
    call = stub.CheckStream(timeout=BOUND_SECONDS)
    await call.write(text("a"))
    first = await call.read()
    await call.write(text(first.released.text + "b"))
    second = await call.read()
    await call.done_writing()
    third, fourth = await call.read(), await call.read()

    assert first.released.text == "A"
    assert second.released.text == "AB"
    assert third.HasField("ended")
    assert fourth is grpc.aio.EOF


async def test_an_iterator_that_is_no_async_one_will_do(stub: Any) -> None:
    answers: list[str] = []

    await said(stub.CheckStream([text("a"), text("b")], timeout=BOUND_SECONDS), answers)

    assert answers == ["A", "B", "."]


async def test_a_request_that_is_changed_once_written_arrives_as_it_was(stub: Any) -> None:
    call = stub.CheckStream(timeout=BOUND_SECONDS)
    request = text("a")

    await call.write(request)
    request.text.text = "changed"
    answer = await call.read()

    assert answer.released.text == "A"
    call.cancel()


async def test_an_error_comes_after_what_was_answered_before_it(stub: Any) -> None:
    answers: list[str] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await said(called(stub, "a", "refuse", "b"), answers)

    assert answers == ["A", "before"]
    error = error_of_call(raised.value, "guardrails")
    assert type(error) is InvalidRequestError
    assert error.field == "text"


async def test_an_unexpected_exception_says_internal_error_only(
    stub: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await said(called(stub, "break"), [])

    assert raised.value.code() == grpc.StatusCode.INTERNAL
    assert raised.value.details() == "internal error"
    captured = capsys.readouterr()
    assert "secret detail" not in captured.out + captured.err


async def test_a_stranger_is_refused(binding: str, service: ScriptedChecks) -> None:
    async with instances(binding, [service]) as channel:
        channel._metadata = ()

        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await said(called(GuardrailsServiceStub(channel), "a"), [])

    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert not service.entered.is_set()


async def test_metadata_reaches_the_servicer(stub: Any, service: ScriptedChecks) -> None:
    call = stub.CheckStream(texts("a"), metadata=(("x-request-id", "r-1"),))

    await said(call, [])

    assert service.metadata["x-request-id"] == "r-1"


async def test_past_its_deadline_a_call_ends_on_both_sides(
    stub: Any, service: ScriptedChecks
) -> None:
    answers: list[str] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await said(called(stub, "a", "hang", seconds=0.2), answers)

    assert answers == ["A"]
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await happened(service.cancelled)


async def test_cancelling_a_call_cancels_the_handler(stub: Any, service: ScriptedChecks) -> None:
    call = called(stub, "hang")
    reading = asyncio.create_task(said(call, []))
    await happened(service.entered)

    call.cancel()
    await asyncio.wait([reading])

    assert reading.cancelled()
    await happened(service.cancelled)


async def test_a_call_that_is_cancelled_before_it_begins_is_over(stub: Any) -> None:
    call = called(stub, "a")

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await said(call, [])


async def test_cancelling_the_task_that_reads_cancels_the_handler(
    stub: Any, service: ScriptedChecks
) -> None:
    reading = asyncio.create_task(said(called(stub, "hang"), []))
    await happened(service.entered)

    reading.cancel()

    await happened(service.cancelled)
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_cancelling_the_task_that_writes_cancels_the_handler(
    stub: Any, service: ScriptedChecks
) -> None:
    call = stub.CheckStream(timeout=BOUND_SECONDS)
    await call.write(text("hang"))

    begun = asyncio.Event()

    async def write() -> None:
        begun.set()
        while True:
            await call.write(text("x" * 1_000_000))

    writing = asyncio.create_task(write())
    await happened(service.entered)
    await happened(begun)  # a task that has not begun has nothing to cancel
    writing.cancel()

    await happened(service.cancelled)
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_an_iteration_that_is_given_up_ends_an_in_process_call() -> None:
    service = ScriptedChecks()
    async with instances("in-process", [service]) as channel:
        stub: Any = GuardrailsServiceStub(channel)
        responses = aiter(called(stub, "a", "hang"))
        await anext(responses)

        await responses.aclose()

        await happened(service.cancelled)


async def test_requests_that_break_off_cancel_the_call(
    stub: Any, service: ScriptedChecks, binding: str
) -> None:
    async def broken() -> AsyncIterator[Any]:
        yield text("a")
        await service.entered.wait()
        raise RuntimeError("no more")

    with pytest.raises(asyncio.CancelledError):
        await said(stub.CheckStream(broken(), timeout=BOUND_SECONDS), [])

    # A servicer on grpcio may see the end of the requests before it is cancelled, so that an end that
    # matters is a message of its own.
    if binding == "in-process":
        await happened(service.cancelled)
        assert not service.whole.is_set()


async def test_nothing_can_be_written_to_a_call_that_has_failed(stub: Any) -> None:
    call = stub.CheckStream(timeout=BOUND_SECONDS)
    await call.write(text("break"))
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()

    with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError)):
        await call.write(text("a"))


async def test_a_reader_that_stalls_holds_the_handler_back(
    stub: Any, service: ScriptedChecks
) -> None:
    call = called(stub, "flood")
    await anext(aiter(call))

    sent = await settled(lambda: service.sent)

    assert sent * 65_536 < 32_000_000
    call.cancel()


async def test_a_handler_that_stalls_holds_the_writer_back(
    stub: Any, service: ScriptedChecks
) -> None:
    written: list[int] = []

    async def requests() -> AsyncIterator[Any]:
        yield text("hang")
        async for request in endless(written):
            yield request

    call = stub.CheckStream(requests(), timeout=BOUND_SECONDS)
    await happened(service.entered)

    count = await settled(lambda: len(written))

    assert count * 65_536 < 32_000_000
    call.cancel()


async def test_in_process_one_message_waits_in_each_direction() -> None:
    service = ScriptedChecks()
    async with instances("in-process", [service]) as channel:
        stub: Any = GuardrailsServiceStub(channel)
        written: list[int] = []
        call = stub.CheckStream(endless(written), timeout=BOUND_SECONDS)

        count = await settled(lambda: len(written))

        # One answer waits to be read, one to be given; one request waits; one is in the writer's hand.
        assert (service.taken, count) == (2, 4)
        call.cancel()


@pytest.mark.parametrize("stack", ["grpc", "native"])
async def test_calls_go_to_the_instance_with_the_fewest_in_flight(stack: str) -> None:
    services = [ScriptedChecks(), ScriptedChecks()]
    async with instances(stack, services) as channel:
        stub: Any = GuardrailsServiceStub(channel)
        calls = [stub.CheckStream(timeout=BOUND_SECONDS) for _ in range(4)]
        for call in calls:
            await call.write(text("hang"))
        await until(lambda: sum(service.taken for service in services) == 4)

        in_flight = [instance.in_flight for instance in channel._instances.values()]
        for call in calls:
            call.cancel()
        await until(lambda: not any(i.in_flight for i in channel._instances.values()))

    assert in_flight == [2, 2]
    assert [service.taken for service in services] == [2, 2]
