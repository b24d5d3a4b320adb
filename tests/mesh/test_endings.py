"""However a request ends: what the upstream was asked and answered is what the books say, once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.administration import Admin
from mesh.books import total
from mesh.caller import CHAT, TEXT, Caller
from mesh.waiting import until
from upstream import Behaviour, Framing, Hang, Match, RemoteUpstream
from upstream.behaviours import Close, Cut, ErrorEvent, Fault, Refuse, Usage

from meshgate.v1 import usage_record_pb2 as pb

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 60
USED = Usage(input_tokens=20, output_tokens=9, cached_input_tokens=5, reasoning_tokens=2)
COST_NANOS = 15 * 1_000 + 5 * 500 + 9 * 2_000

MODELS = """
  counted:
    targets: [{provider: main, model: up-1, prices: &prices {input: 1, cached_input: 0.5, output: 2}}]
    retries: {attempts: 1}
    timeouts: {connect: 5s, first_token: 1s, between_tokens: 1s, total: 20s}
  retried:
    targets: [{provider: main, model: up-1, prices: *prices}]
    retries: {attempts: 3, backoff: {initial: 10ms, max: 20ms}}
  falls-back:
    targets: [{provider: main, model: up-2, prices: *prices}]
    retries: {attempts: 1}
    fallbacks: [counted]
  kept:
    targets: [{provider: main, model: up-1, prices: *prices}]
    cache: {mode: exact, ttl: 1h}
  looked-at:
    targets: [{provider: main, model: up-1, prices: *prices}]
    retries: {attempts: 1}
    guardrails: [careful]
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream_origin: str) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("endings")
    patient = {"CACHE_LOOKUP_TIMEOUT": "5s", "ROUTING_CACHE_TIMEOUT": "5s"}
    with running_gateway(
        directory, upstream_origin, "--workers", "2", variables=patient, models=MODELS
    ) as gateway:
        yield gateway


@pytest.fixture
async def caller(gateway: Gateway) -> AsyncIterator[Caller]:
    async with gateway.client(ADMIN_KEY) as client:
        admin = Admin(client)
        yield Caller(gateway, admin, *await admin.key(total("TOKENS", 10_000_000, "NORMAL")))


async def arrived(upstream: RemoteUpstream) -> bool:
    return bool(await upstream.requests())


def counts(usage: Any) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )


class TestAnswers:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_what_was_answered_is_booked(
        self, caller: Caller, upstream: RemoteUpstream, *, stream: bool
    ) -> None:
        await upstream.script(TEXT, Behaviour(usage=USED))

        answer = await caller.ask(stream=stream)

        record = await caller.record()
        (charge,) = record.charges
        (request,) = await upstream.requests()
        assert answer.status_code == 200
        assert (record.outcome, record.attempt_count) == (pb.REQUEST_OUTCOME_ANSWERED, 1)
        assert (charge.model, charge.served_model) == (request.body["model"], "up-1")
        assert counts(charge.usage) == USED
        assert (charge.cost_nanos, charge.estimated) == (COST_NANOS, False)
        assert answer.headers.get("x-meshgate-cost-usd") == (None if stream else "0.0000355")

    @pytest.mark.parametrize(
        "framing",
        [
            Framing(split_bytes=7),
            Framing(newline="\r\n", comments="before_events"),
            Framing(events_per_write=100),
            Framing(done="missing"),
        ],
    )
    @pytest.mark.parametrize("sent", ["asked", "always"])
    async def test_usage_is_found_however_it_is_written(
        self, caller: Caller, upstream: RemoteUpstream, framing: Framing, sent: Any
    ) -> None:
        await upstream.script(TEXT, Behaviour(usage=USED, usage_sent=sent, framing=framing))

        await caller.ask(stream=True)

        charge = await caller.charge()
        assert (counts(charge.usage), charge.estimated) == (USED, False)

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        "behaviour",
        [
            Behaviour(text=TEXT, usage_sent="never"),
            Behaviour(text=TEXT, usage=Usage(input_tokens=-5, output_tokens=9)),
            Behaviour(text=TEXT, usage=Usage(input_tokens=5, output_tokens=-9)),
            Behaviour(text=TEXT, usage=Usage(input_tokens=5, output_tokens=2**31)),
            Behaviour(text=TEXT, usage=Usage(input_tokens=10**30, output_tokens=9)),
        ],
    )
    async def test_usage_that_is_missing_or_impossible_is_counted(
        self, caller: Caller, upstream: RemoteUpstream, behaviour: Behaviour, *, stream: bool
    ) -> None:
        await upstream.script(TEXT, behaviour)

        answer = await caller.ask(stream=stream)

        charge = await caller.charge()
        assert answer.status_code == 200
        assert charge.estimated
        assert charge.usage.output_tokens == 6
        assert 6 < charge.usage.input_tokens < 20
        assert charge.cost_nanos == charge.usage.input_tokens * 1_000 + 6 * 2_000

    async def test_more_parts_than_there_is_whole_are_never_booked_below_nothing(
        self, caller: Caller, upstream: RemoteUpstream
    ) -> None:
        usage = Usage(input_tokens=2, output_tokens=3, cached_input_tokens=50)
        await upstream.script(TEXT, Behaviour(usage=usage))

        await caller.ask()

        charge = await caller.charge()
        assert charge.cost_nanos == 50 * 500 + 3 * 2_000


class TestRefusals:
    async def test_a_limit_that_is_reached_leaves_no_record(
        self, caller: Caller, upstream: RemoteUpstream
    ) -> None:
        await caller.admin.limit(caller.key_id, total("COST", 0))

        async def refused() -> bool:
            return (await caller.ask()).status_code == 429

        await until(refused, BOUND_SECONDS)
        seen = len(await upstream.requests())  # before all processes knew
        assert [(await caller.ask()).status_code for _ in range(8)].count(429) >= 4
        await caller.admin.limit(caller.key_id)

        async def admitted() -> bool:
            return (await caller.ask("free again")).status_code == 200

        await until(admitted, BOUND_SECONDS)
        asked = len(await upstream.requests())
        assert asked >= seen + 1
        assert len(await caller.booked(asked)) == asked

    async def test_a_guardrail_that_blocks_books_a_request_and_no_charge(
        self, caller: Caller, upstream: RemoteUpstream
    ) -> None:
        answer = await caller.ask("my key is AKIAIOSFODNN7EXAMPLE", model="looked-at")

        record = await caller.record()
        assert answer.status_code == 400
        assert record.outcome == pb.REQUEST_OUTCOME_BLOCKED
        assert list(record.charges) == []
        assert await upstream.requests() == []

    @pytest.mark.parametrize("stream", [False, True])
    async def test_an_answer_that_is_blocked_is_paid_for(
        self, caller: Caller, upstream: RemoteUpstream, *, stream: bool
    ) -> None:
        secret = "AKIAIOSFODNN7EXAMPLE and so on"
        await upstream.script(TEXT, Behaviour(text=secret, usage=USED))

        await caller.ask(model="looked-at", stream=stream)

        record = await caller.record()
        (charge,) = record.charges
        assert record.outcome == pb.REQUEST_OUTCOME_BLOCKED
        assert charge.cost_nanos > 0
        assert charge.estimated == stream  # it was cut before the upstream could say
        assert len(record.findings) == 1


class TestTheCache:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_hit_is_a_request_without_a_charge(
        self, caller: Caller, upstream: RemoteUpstream, *, stream: bool
    ) -> None:
        await upstream.script("keep", Behaviour(usage=USED))
        text = f"keep this of {caller.key_id}"
        await caller.ask(text, model="kept", stream=stream)

        async def hit() -> bool:
            answer = await caller.ask(text, model="kept")
            return answer.headers["x-meshgate-cache"] == "hit"

        await until(hit, BOUND_SECONDS)
        asked = len(await upstream.requests())
        answer = await caller.ask(text, model="kept")

        records = await caller.booked(asked + 2)
        hits = [record for record in records if record.cache == pb.CACHE_OUTCOME_HIT]
        assert answer.headers["x-meshgate-cost-usd"] == "0"
        assert len(await upstream.requests()) == asked
        assert [len(record.charges) for record in hits] == [0, 0]
        assert [counts(record.saved.usage) for record in hits] == [USED, USED]
        assert [record.saved.cost_nanos for record in hits] == [COST_NANOS] * 2


class TestClientsThatLeave:
    async def test_before_the_answer_the_question_is_paid_for(
        self, caller: Caller, upstream: RemoteUpstream
    ) -> None:
        await upstream.script(TEXT, Behaviour(head_delay_seconds=30))
        asking = asyncio.create_task(caller.ask(model="retried"))
        await until(lambda: arrived(upstream), BOUND_SECONDS)

        asking.cancel()
        await asyncio.wait([asking])

        record = await caller.record()
        (charge,) = record.charges
        assert record.outcome == pb.REQUEST_OUTCOME_CANCELLED
        assert (charge.estimated, charge.usage.output_tokens) == (True, 0)
        assert charge.usage.input_tokens > 0
        assert (await upstream.ending()).outcome == "client_gone"

    async def test_in_the_middle_what_came_is_paid_for(
        self, caller: Caller, upstream: RemoteUpstream
    ) -> None:
        hang = Hang(at="event", after_events=3)
        await upstream.script(TEXT, Behaviour(text="one two three four", fault=hang))

        await self._leave_at(caller, '" two"', '"one two"', "one ")

        record = await caller.record()
        (charge,) = record.charges
        assert record.outcome == pb.REQUEST_OUTCOME_CANCELLED
        assert charge.estimated
        assert 0 < charge.usage.output_tokens <= 4
        assert (await upstream.ending()).outcome == "client_gone"

    @pytest.mark.parametrize("model", ["counted", "looked-at"])
    async def test_at_the_end_it_is_an_answer_with_what_the_upstream_said(
        self, caller: Caller, upstream: RemoteUpstream, model: str
    ) -> None:
        # All is said, but the body stays open: the client leaves first.
        hang = Hang(at="event", after_events=8)
        await upstream.script(TEXT, Behaviour(usage=USED, fault=hang))

        await self._leave_at(caller, "[DONE]", model=model)

        record = await caller.record()
        (charge,) = record.charges
        assert record.outcome == pb.REQUEST_OUTCOME_ANSWERED
        assert (counts(charge.usage), charge.estimated) == (USED, False)

    async def _leave_at(self, caller: Caller, *words: str, model: str = "counted") -> None:
        """Leave as soon as one of the words has come."""
        body = {"model": model, "messages": [{"role": "user", "content": TEXT}], "stream": True}
        async with (
            caller.gateway.client(caller.key) as client,
            client.stream("POST", CHAT, json=body) as answer,
        ):
            async for line in answer.aiter_lines():
                if any(word in line for word in words):
                    return
        raise AssertionError(f"none of {words} came")


@dataclass(frozen=True)
class Failing:
    """A way of an upstream to fail, and what is left of it.

    Attributes:
        tokens: Whether tokens were written that have to be paid for.
    """

    behaviour: Behaviour
    stream: bool
    tokens: bool


def slowly(fault: Fault) -> Behaviour:
    """A stream whose good beginning is read before its fault: else nothing of it was an answer."""
    return Behaviour(fault=fault, event_delay_seconds=0.1)


FAILURES = {
    "refused": Failing(Behaviour(fault=Refuse(status=500)), stream=False, tokens=False),
    "refused stream": Failing(Behaviour(fault=Refuse(status=503)), stream=True, tokens=False),
    "closed": Failing(Behaviour(fault=Close()), stream=False, tokens=False),
    "cut answer": Failing(Behaviour(fault=Cut()), stream=False, tokens=False),
    "cut stream": Failing(slowly(Cut(after_events=3)), stream=True, tokens=True),
    "ended stream": Failing(slowly(Cut(after_events=3, by="end")), stream=True, tokens=True),
    "error event": Failing(slowly(ErrorEvent(after_events=3)), stream=True, tokens=True),
    "silent stream": Failing(slowly(Hang(at="event", after_events=3)), stream=True, tokens=True),
}


class TestFailures:
    @pytest.mark.parametrize("failing", FAILURES.values(), ids=list(FAILURES))
    async def test_one_is_settled_once_with_what_was_written(
        self, caller: Caller, upstream: RemoteUpstream, failing: Failing
    ) -> None:
        await upstream.script(TEXT, failing.behaviour)

        await caller.ask(stream=failing.stream)

        record = await caller.record()
        assert record.outcome == pb.REQUEST_OUTCOME_FAILED
        assert record.attempt_count == len(await upstream.requests()) == 1
        assert len(record.charges) == failing.tokens
        for charge in record.charges:
            assert charge.estimated
            assert charge.usage.input_tokens > 0
            assert charge.usage.output_tokens > 0
            assert charge.cost_nanos > 0

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_deadline_that_passes_costs_the_question(
        self, caller: Caller, upstream: RemoteUpstream, *, stream: bool
    ) -> None:
        await upstream.script(TEXT, Behaviour(fault=Hang(at="head")))
        in_time = {"x-meshgate-timeout": "300ms"}

        answer = await caller.ask(model="retried", stream=stream, headers=in_time)

        record = await caller.record()
        (charge,) = record.charges
        assert answer.status_code == 504
        assert record.outcome == pb.REQUEST_OUTCOME_FAILED
        assert record.attempt_count == len(await upstream.requests()) == 1
        assert (charge.estimated, charge.usage.output_tokens) == (True, 0)
        assert charge.usage.input_tokens > 0

    @pytest.mark.parametrize("stream", [False, True])
    async def test_only_the_attempt_that_answered_is_charged(
        self, caller: Caller, upstream: RemoteUpstream, *, stream: bool
    ) -> None:
        await upstream.script(TEXT, Behaviour(fault=Refuse(status=500)), times=2)
        await upstream.script(TEXT, Behaviour(usage=USED))

        answer = await caller.ask(model="retried", stream=stream)

        record = await caller.record()
        (charge,) = record.charges
        assert answer.headers["x-meshgate-attempts"] == "3"
        assert record.attempt_count == len(await upstream.requests()) == 3
        assert (counts(charge.usage), charge.cost_nanos) == (USED, COST_NANOS)

    async def test_a_fallback_is_charged_as_what_it_is(
        self, caller: Caller, upstream: RemoteUpstream
    ) -> None:
        await upstream.script(Match(model="up-2"), Behaviour(fault=Refuse(status=500)))
        await upstream.script(Match(model="up-1"), Behaviour(usage=USED))

        await caller.ask(model="falls-back")

        record = await caller.record()
        (charge,) = record.charges
        assert (record.model, charge.model) == ("falls-back", "up-1")
        assert [each.body["model"] for each in await upstream.requests()] == ["up-2", "up-1"]
        assert record.attempt_count == 2
        assert charge.cost_nanos == COST_NANOS
