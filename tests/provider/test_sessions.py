"""Sessions of plain attempts: started in batches, told in one stream of results."""

import asyncio
from contextlib import aclosing

import grpc
import pytest
from provider.attempts import KEY, chat
from provider.test_servicer import asking, serving
from upstream import Behaviour, FakeUpstream, Hang

from meshgate.provider import sessions as module
from meshgate.provider.sessions import Sessions
from meshgate.runtime.errors import (
    InvalidRequestError,
    ServiceUnavailableError,
    UnsupportedError,
)
from meshgate.runtime.status import error_of, error_of_call
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1.provider_service_pb2_grpc import ProviderServiceStub

BOUND_SECONDS = 20


class Work:
    """Attempts that end when a test says so."""

    def __init__(self):
        self.ends = {}
        self.begun = []
        self.cancelled = []

    async def answer(self, request, deadline):
        body = request.body
        self.begun.append(body)
        try:
            outcome = await self.ends.setdefault(body, asyncio.get_running_loop().create_future())
        except asyncio.CancelledError:
            self.cancelled.append(body)
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return pb.ExecuteResponse(answer=pb.Answer(body=outcome))

    async def end(self, **outcomes):
        await until(lambda: {name.encode() for name in outcomes} <= set(self.ends))
        for name, outcome in outcomes.items():
            self.ends[name.encode()].set_result(outcome)


async def until(condition):
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def items(**tickets):
    return [
        pb.ExecuteItem(ticket=ticket, request=pb.ExecuteRequest(body=name.encode()))
        for name, ticket in tickets.items()
    ]


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def sessions(work):
    return Sessions(work.answer)


@pytest.fixture
async def results(sessions):
    """The results of the session "s", open."""
    async with aclosing(sessions.results("s")) as results:
        assert await anext(results) == ()
        yield results


async def test_what_ends_together_is_told_together(sessions, work, results):
    sessions.submit("s", items(a=1, b=2, c=3))
    await work.end(c=b"3", a=b"1")

    told = await anext(results)

    assert [(result.ticket, result.response.answer.body) for result in told] == [
        (3, b"3"),
        (1, b"1"),
    ]


async def test_a_refusal_is_a_result(sessions, work, results):
    sessions.submit("s", items(a=1))
    await work.end(a=UnsupportedError("not there", field="tools"))

    [told] = await anext(results)

    error = error_of(told.refusal, "provider")
    assert (type(error), error.field) == (UnsupportedError, "tools")


async def test_a_bug_is_told_as_an_internal_error(sessions, work, results):
    sessions.submit("s", items(a=1))
    await work.end(a=RuntimeError("secret"))

    [told] = await anext(results)

    assert told.refusal.message == "internal error"


async def test_a_large_result_goes_alone(sessions, work, results, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 10)
    sessions.submit("s", items(a=1, b=2, c=3, d=4))
    await work.end(a=b"one", b=b"two", c=b"quite large", d=b"four")

    told = [[result.ticket for result in await anext(results)] for _ in range(3)]

    assert told == [[1, 2], [3], [4]]


async def test_a_submit_that_comes_again_starts_nothing_anew(sessions, work, results):
    sessions.submit("s", items(a=1, b=2))
    sessions.submit("s", items(a=1, b=2, c=3))
    await until(lambda: len(work.begun) == 3)

    assert work.begun == [b"a", b"b", b"c"]


async def test_what_is_cancelled_is_never_told(sessions, work, results):
    sessions.submit("s", items(a=1, b=2))
    await until(lambda: len(work.begun) == 2)

    sessions.cancel("s", [1, 99])
    await work.end(b=b"2")

    assert [result.ticket for result in await anext(results)] == [2]
    assert work.cancelled == [b"a"]


async def test_what_is_cancelled_at_once_never_begins(sessions, work, results):
    sessions.submit("s", items(a=1, b=2))
    sessions.cancel("s", [1])
    await work.end(b=b"2")

    assert [result.ticket for result in await anext(results)] == [2]
    assert work.begun == [b"b"]


async def test_a_session_whose_stream_ends_cancels_its_work(sessions, work, results):
    sessions.submit("s", items(a=1))
    await until(lambda: work.begun)

    await results.aclose()

    await until(lambda: work.cancelled == [b"a"])
    with pytest.raises(ServiceUnavailableError):
        sessions.submit("s", items(b=2))


async def test_a_session_without_news_says_that_it_lives(sessions, results, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)

    assert list(await anext(results)) == []


async def test_a_session_that_drains_ends_after_its_last_result(sessions, work, results):
    sessions.submit("s", items(a=1))
    await until(lambda: work.begun)
    sessions.drain()
    await work.end(a=b"1")

    told = [result.ticket async for batch in results for result in batch]

    assert told == [1]


async def test_an_idle_session_ends_at_once_when_it_drains(sessions, results):
    waiting = asyncio.ensure_future(anext(results))
    await asyncio.sleep(0)

    sessions.drain()

    assert list(await waiting) == []
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_more_than_can_be_done_is_refused(sessions, work, results, monkeypatch):
    monkeypatch.setattr(module, "_MOST_IN_FLIGHT", 1)
    sessions.submit("s", items(a=1, b=2))

    [told] = await anext(results)

    assert told.ticket == 2
    assert isinstance(error_of(told.refusal, "provider"), ServiceUnavailableError)


@pytest.mark.parametrize("name", ["", "s"])
async def test_a_session_needs_a_name_of_its_own(sessions, results, name):
    with pytest.raises(InvalidRequestError):
        await anext(sessions.results(name))


@pytest.fixture
async def fake():
    async with FakeUpstream(api_key=KEY) as upstream:
        yield upstream


@pytest.fixture(params=["native", "grpc"])
async def stub(request, fake, tmp_path):
    async with serving(request.param, fake.base_url, tmp_path) as (channel, _):
        yield ProviderServiceStub(channel)


async def opened(stub):
    stream = stub.WatchResults(pb.WatchResultsRequest(session_id="s"))
    assert len((await stream.read()).results) == 0
    return stream


async def submit(stub, *requests):
    tickets = [pb.ExecuteItem(ticket=i, request=asked) for i, asked in enumerate(requests, 1)]
    await stub.SubmitExecutes(pb.SubmitExecutesRequest(session_id="s", items=tickets))


async def told(stream, count):
    found = {}
    while len(found) < count:
        found |= {result.ticket: result for result in (await stream.read()).results}
    return found


async def test_over_the_wire_answers_and_refusals_come_as_results(stub):
    stream = await opened(stub)

    await submit(stub, asking(), asking(provider="unheard-of"), asking(output_cap=-1))
    found = await told(stream, 3)

    assert found[1].response.answer.served_model == "m1"
    assert found[2].HasField("refusal")
    assert error_of(found[3].refusal, "provider").field == "output_cap"
    stream.cancel()


async def test_over_the_wire_a_cancel_reaches_the_upstream(stub, fake):
    fake.default(Behaviour(fault=Hang(at="head")))
    stream = await opened(stub)
    await submit(stub, asking())
    await fake.arrival()

    await stub.CancelExecutes(pb.CancelExecutesRequest(session_id="s", tickets=[1]))

    async with asyncio.timeout(BOUND_SECONDS):
        assert (await fake.ending()).outcome == "client_gone"
    stream.cancel()


async def test_over_the_wire_a_stream_that_is_gone_cancels_the_upstream(stub, fake):
    fake.default(Behaviour(fault=Hang(at="head")))
    stream = await opened(stub)
    await submit(stub, asking())
    await fake.arrival()

    stream.cancel()

    async with asyncio.timeout(BOUND_SECONDS):
        assert (await fake.ending()).outcome == "client_gone"


async def test_over_the_wire_a_deadline_ends_the_attempt(stub, fake):
    fake.default(Behaviour(fault=Hang(at="head")))
    stream = await opened(stub)
    request = asking()
    request.context.timeout.nanos = 200_000_000

    await submit(stub, request)
    found = await told(stream, 1)

    assert found[1].response.failure.kind == pb.FAILURE_KIND_TIMEOUT
    stream.cancel()


async def test_over_the_wire_there_is_no_submit_without_a_session(stub):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await submit(stub, asking(chat()))

    assert isinstance(error_of_call(raised.value, "provider"), ServiceUnavailableError)


@pytest.mark.parametrize("stack", ["native", "grpc"])
async def test_a_process_that_stops_waits_for_no_idle_session(stack, fake, tmp_path):
    async with asyncio.timeout(BOUND_SECONDS):
        async with serving(stack, fake.base_url, tmp_path) as (channel, _):
            stream = await opened(ProviderServiceStub(channel))
            stopping = asyncio.ensure_future(stream.read())
            await asyncio.sleep(0)
    stopping.cancel()
