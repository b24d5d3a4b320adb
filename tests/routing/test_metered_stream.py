"""A streamed answer, metered: it asks for more, ends in order, and is settled once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import pytest
from routing.fake_quota import FakeQuota
from routing.fakes import Clock, snapshot, until
from routing.metering_values import asked, at, chain, limit, model

from meshgate.dialects.neutral import Usage
from meshgate.routing.metered_stream import MeteredStream
from meshgate.routing.metering import Metering
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.quota import Quota
from meshgate.routing.planning import Plan
from meshgate.runtime.errors import ServiceUnavailableError, UpstreamFailedError
from meshgate.tokens.counting import TokenCounter
from meshgate.v1 import usage_record_pb2 as pb

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello world"}]}'
USAGE = Usage(input_tokens=10, output_tokens=20)


class FakeChunks:
    """Says what it was told to; waits for ever where there is nothing more."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.usage: Usage | None = None
        self.served_model = "m-2026"
        self.upstream_seconds: float | None = None
        self.closed = 0

    async def __anext__(self) -> bytes:
        if not self.steps:
            await asyncio.get_running_loop().create_future()
        step = self.steps.pop(0)
        if isinstance(step, Usage):
            self.usage = step
            raise StopAsyncIteration
        if isinstance(step, BaseException):
            raise step
        return step  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        self.closed += 1


def said(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    event = {"id": "c1", "model": "m", "created": 1, "choices": [choice]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


class Bench:
    """Streams under limits that quota keeps as a plain model."""

    def __init__(self) -> None:
        self.service = FakeQuota()
        self.clock = Clock()
        self.quota = Quota(QuotaCalls(self.service.channel()), now=self.clock)
        self.counter = TokenCounter()
        self.configured = snapshot(model("m", at("one")))

    async def stream(self, chunks: FakeChunks, *limits: Any, **head: Any) -> MeteredStream:
        metering = Metering(self.quota, self.counter, lambda: self.configured)
        meter = await metering.open(asked(BODY, chain(*limits), stream=True, **head))

        async def execute(*_: Any) -> Any:
            return chunks

        found = self.configured.models["m"]
        run = meter.metered(execute)
        await run(meter.question, Plan(found, found.targets), found.targets[0])
        return MeteredStream(chunks, meter)  # type: ignore[arg-type]

    async def record(self) -> Any:
        """The one record, once all is booked."""
        await until(lambda: not self.quota._tasks)
        self.quota.send_settlements()
        await until(lambda: not self.quota.unbooked)
        (record,) = self.service.records
        return record

    @property
    def held(self) -> int:
        return self.service.held("key/k1", "tokens/minute")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.quota.close()
    await bench.counter.close()


async def read(stream: MeteredStream) -> list[bytes]:
    async with aclosing(stream) as chunks:
        return [chunk async for chunk in chunks]


class TestEnding:
    async def test_a_whole_answer_is_settled_with_what_the_upstream_says(
        self, bench: Bench
    ) -> None:
        stream = await bench.stream(FakeChunks(said("hello"), USAGE), limit("tokens", 10_000))

        await read(stream)

        record = await bench.record()
        assert record.outcome == pb.REQUEST_OUTCOME_ANSWERED
        assert record.charges[0].usage.output_tokens == 20
        assert bench.held == 0

    async def test_one_that_was_never_read_is_settled_when_it_is_closed(self, bench: Bench) -> None:
        chunks = FakeChunks()
        stream = await bench.stream(chunks, limit("tokens", 10_000))

        await stream.aclose()

        record = await bench.record()
        assert record.outcome == pb.REQUEST_OUTCOME_CANCELLED
        assert record.charges[0].usage.input_tokens > 0
        assert (bench.held, chunks.closed) == (0, 1)

    async def test_one_that_breaks_is_settled_as_failed(self, bench: Bench) -> None:
        cut = UpstreamFailedError("cut", model="m", provider="one", kind="connection")
        stream = await bench.stream(FakeChunks(said("hello"), cut), limit("tokens", 10_000))

        with pytest.raises(UpstreamFailedError):
            await read(stream)

        assert (await bench.record()).outcome == pb.REQUEST_OUTCOME_FAILED

    @pytest.mark.parametrize(
        ("told", "output_tokens", "is_estimated"),
        [
            (Usage(input_tokens=10, cached_input_tokens=4, output_tokens=1), 60, True),
            (USAGE, 20, False),
        ],
    )
    async def test_of_one_that_breaks_no_less_is_charged_than_was_written(
        self, bench: Bench, told: Usage, output_tokens: int, is_estimated: bool
    ) -> None:
        cut = UpstreamFailedError("cut", model="m", provider="one", kind="connection")
        text = "hello" if not is_estimated else "hello" + " hello" * 59
        chunks = FakeChunks(said(text), cut)
        chunks.usage = told  # as the beginning of the answer told it
        stream = await bench.stream(chunks, limit("tokens", 10_000))

        with pytest.raises(UpstreamFailedError):
            await read(stream)

        charge = (await bench.record()).charges[0]
        assert charge.usage.input_tokens == 10
        assert charge.usage.cached_input_tokens == told.cached_input_tokens
        assert charge.usage.output_tokens == output_tokens
        assert charge.estimated == is_estimated

    async def test_one_that_fails_unexpectedly_is_settled_too(self, bench: Bench) -> None:
        stream = await bench.stream(FakeChunks(said("a"), ValueError("x")), limit("tokens", 10_000))

        with pytest.raises(ValueError, match="x"):
            await read(stream)

        await bench.record()
        assert bench.held == 0

    async def test_a_reader_who_is_cancelled_while_it_waits_is_charged_for_what_came(
        self, bench: Bench
    ) -> None:
        chunks = FakeChunks(said("hello world"))
        stream = await bench.stream(chunks, limit("tokens", 10_000))
        reading = asyncio.create_task(read(stream))
        await until(lambda: not chunks.steps)
        await asyncio.sleep(0)

        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading

        record = await bench.record()
        assert record.outcome == pb.REQUEST_OUTCOME_CANCELLED
        assert record.charges[0].usage.output_tokens == 2

    async def test_closing_while_another_reads_settles_once(self, bench: Bench) -> None:
        chunks = FakeChunks(said("hello world"))
        stream = await bench.stream(chunks, limit("tokens", 10_000))
        await anext(stream)
        waiting = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        await asyncio.sleep(0)

        await stream.aclose()
        waiting.cancel()
        await stream.aclose()

        await bench.record()
        assert bench.held == 0

    async def test_a_reader_who_leaves_at_the_last_event_has_had_the_whole_answer(
        self, bench: Bench
    ) -> None:
        last = said(" world", "stop") + b"data: [DONE]\n\n"
        stream = await bench.stream(FakeChunks(said("hello"), last, USAGE), limit("tokens", 999))

        seen = [await anext(stream), await anext(stream)]
        await stream.aclose()

        assert seen == [said("hello"), last]
        record = await bench.record()
        assert record.outcome == pb.REQUEST_OUTCOME_ANSWERED
        assert not record.charges[0].estimated
        assert record.charges[0].usage.output_tokens == 20

    async def test_an_answer_that_came_whole_is_one_even_if_the_call_breaks_then(
        self, bench: Bench
    ) -> None:
        last = said("hello world", "stop") + b"data: [DONE]\n\n"
        stream = await bench.stream(FakeChunks(last, UpstreamFailedError("gone")))

        assert await read(stream) == [last]

        record = await bench.record()
        assert record.outcome == pb.REQUEST_OUTCOME_ANSWERED
        assert record.charges[0].estimated
        assert record.charges[0].usage.output_tokens == 2

    async def test_after_its_end_a_stream_says_nothing_more(self, bench: Bench) -> None:
        stream = await bench.stream(FakeChunks(said("a")), limit("tokens", 10_000))
        await stream.aclose()

        with pytest.raises(StopAsyncIteration):
            await anext(stream)

        await bench.record()


class TestOutgrowing:
    async def test_a_long_answer_asks_for_more(self, bench: Bench) -> None:
        words = [said("word " * 100) for _ in range(10)]
        stream = await bench.stream(FakeChunks(*words, USAGE), limit("tokens", 100_000))

        chunks = await read(stream)

        assert len(chunks) == 10
        assert bench.service.count("BatchHold") > 1
        await bench.record()

    async def test_an_answer_that_is_over_asks_for_nothing_more(self, bench: Bench) -> None:
        last = said("word " * 2_000, "stop") + b"data: [DONE]\n\n"
        stream = await bench.stream(FakeChunks(last, USAGE), limit("tokens", 500))

        chunks = await read(stream)

        assert chunks == [last]
        record = await bench.record()
        assert record.outcome == pb.REQUEST_OUTCOME_ANSWERED
        assert record.charges[0].usage.output_tokens == 20

    async def test_an_answer_with_a_bound_that_is_held_never_asks(self, bench: Bench) -> None:
        words = [said("word " * 100) for _ in range(10)]
        stream = await bench.stream(
            FakeChunks(*words, USAGE), limit("tokens", 100_000), max_output_tokens=5
        )

        await read(stream)

        assert bench.service.count("BatchHold") == 1
        await bench.record()

    async def test_under_a_strict_limit_nobody_asks(self, bench: Bench) -> None:
        words = [said("word " * 1_000) for _ in range(10)]
        stream = await bench.stream(
            FakeChunks(*words, USAGE), limit("tokens", 100_000, "strict"), choices=2
        )

        await read(stream)

        assert bench.service.count("BatchHold") == 1
        await bench.record()

    async def test_limits_of_requests_alone_do_not_grow(self, bench: Bench) -> None:
        words = [said("word " * 1_000) for _ in range(10)]
        stream = await bench.stream(FakeChunks(*words, USAGE), limit("requests", 10))

        await read(stream)

        assert bench.service.count("BatchHold") == 1
        await bench.record()

    async def test_where_there_is_no_more_the_answer_ends_and_says_why(self, bench: Bench) -> None:
        chunks = FakeChunks(*(said("word " * 100) for _ in range(50)))
        stream = await bench.stream(chunks, limit("tokens", 600))

        got = await read(stream)

        assert got[-1].endswith(b"data: [DONE]\n\n")
        assert b'"length"' in got[-1]
        assert (await bench.record()).outcome == pb.REQUEST_OUTCOME_LIMITED
        assert (chunks.closed > 0, bench.held) == (True, 0)

    async def test_when_quota_is_away_the_answer_goes_on_and_is_booked_in_full(
        self, bench: Bench
    ) -> None:
        words = [said("word " * 100) for _ in range(10)]
        usage = Usage(input_tokens=10, output_tokens=1_000)
        stream = await bench.stream(FakeChunks(*words, usage), limit("tokens", 100_000))
        bench.service.failure = ServiceUnavailableError("gone")

        chunks = await read(stream)
        bench.service.failure = None

        assert len(chunks) == 10
        await bench.record()
        assert bench.service.spent["key/k1", "tokens/minute"] == 1_010

    async def test_a_reader_who_leaves_while_more_is_asked_for_holds_nothing(
        self, bench: Bench
    ) -> None:
        chunks = FakeChunks(said("word " * 1_000))
        stream = await bench.stream(chunks, limit("tokens", 100_000))
        bench.service.open.clear()
        reading = asyncio.create_task(read(stream))
        await until(lambda: bench.service.count("BatchHold") == 2)

        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        bench.service.open.set()
        await bench.record()
        bench.clock.time += 2.1  # what was leased ahead goes back
        await bench.quota.look()

        assert bench.held == 0
