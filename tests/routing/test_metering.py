"""What requests are held for, what they are charged, and what their clients are told of it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fake_quota import FakeQuota
from routing.fakes import (
    HANG,
    KEY,
    FakeAuth,
    FakeProvider,
    answer,
    broken,
    chunk,
    failing,
    head,
    key_of,
    model,
    snapshot,
    until,
)
from routing.gateway import Gateway, credentials, ending_of, serving

from meshgate.config.snapshot import Model, Target
from meshgate.dialects.openai_chat import grammar
from meshgate.limits.limit import Enforcement, Limit, LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.limits.messages import subject_message
from meshgate.pricing.prices import Prices
from meshgate.v1 import provider_service_pb2, usage_pb2, usage_record_pb2

USAGE = usage_pb2.Usage(input_tokens=12, output_tokens=30)
PRICES = Prices(1_000_000_000, 1_000_000_000, 1_000_000_000, 2_000_000_000)  # 1 and 2 USD a million


def limit(kind: str, amount: int, enforcement: str = "normal") -> Limit:
    unit = None if kind == "concurrency" else WindowUnit.MINUTE
    return Limit.of(LimitKind(kind), amount, unit, enforcement=Enforcement(enforcement))


def limited(*limits: Limit) -> Any:
    """The principal of KEY, whose key has limits."""
    principal = key_of("alice")
    principal.organization_id = "acme"
    principal.key_id = "k1"
    principal.subjects.append(subject_message(Subject(SubjectKind.KEY, "k1", limits)))
    return principal


def answered(usage: usage_pb2.Usage | None = USAGE) -> Any:
    message = answer(json.dumps({"choices": [{"message": {"content": "hello world"}}]}).encode())
    message.answer.served_model = "m-2026"
    if usage is not None:
        message.answer.usage.CopyFrom(usage)
    return message


def delta(text: str, index: int = 0) -> Any:
    event = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": index, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
        ],
    }
    return chunk(b"data: " + json.dumps(event).encode() + b"\n\n")


def end(usage: usage_pb2.Usage | None = USAGE) -> Any:
    done = provider_service_pb2.StreamDone(served_model="m-2026")
    if usage is not None:
        done.usage.CopyFrom(usage)
    return provider_service_pb2.StreamExecuteResponse(done=done)


def ask(stream: bool = False, **fields: Any) -> HttpBody:
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    return HttpBody(data=json.dumps(body | fields).encode())


def priced(name: str, *providers: str, **fields: Any) -> Model:
    targets = tuple(Target(one, f"{name}-at-{one}", prices=PRICES) for one in providers)
    return model(name, *providers, targets=targets, **fields)


@pytest.fixture
def quota() -> FakeQuota:
    return FakeQuota()


@pytest.fixture
async def gateway(
    auth: FakeAuth, provider: FakeProvider, quota: FakeQuota
) -> AsyncIterator[Gateway]:
    auth.found[KEY] = limited(limit("requests", 1000), limit("tokens", 100_000))
    async with serving(
        "compact", snapshot(priced("m", "one", "two")), auth, provider, quota=quota
    ) as gateway:
        yield gateway


async def chat(gateway: Gateway, **fields: Any) -> Any:
    return await ending_of(gateway.openai.ChatCompletions(ask(**fields), **credentials()))


async def booked(quota: FakeQuota, count: int = 1) -> list[Any]:
    """The records, once there are so many."""
    await until(lambda: len(quota.records) >= count)
    return quota.records


class TestCharging:
    async def test_an_answer_is_charged_as_the_upstream_says(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("one", answered())

        await chat(gateway)

        (record,) = await booked(quota)
        (charge,) = record.charges
        assert (charge.provider, charge.model, charge.served_model) == ("one", "m-at-one", "m-2026")
        assert charge.usage == USAGE
        assert charge.cost_nanos == 12 * 1000 + 30 * 2000
        assert charge.price_version == PRICES.version
        assert not charge.estimated
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_ANSWERED
        assert (record.key_id, record.organization_id) == ("k1", "acme")
        assert (record.model, record.dialect) == ("m", "openai_chat")
        assert quota.used("key/k1", "tokens/minute") == 42

    async def test_what_an_upstream_does_not_report_is_counted(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("one", answered(usage=None))

        await chat(gateway)

        (charge,) = (await booked(quota))[0].charges
        assert charge.estimated
        assert charge.usage.output_tokens == 2  # hello world
        assert charge.usage.input_tokens > 0

    async def test_each_attempt_that_cost_something_is_a_charge(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("one", failing("overloaded", usage=usage_pb2.Usage(input_tokens=5)))
        provider.at("two", answered())

        await chat(gateway)

        (record,) = await booked(quota)
        assert [charge.usage.input_tokens for charge in record.charges] == [5, 12]
        assert record.attempt_count == 2
        assert quota.used("key/k1", "tokens/minute") == 47
        assert quota.used("key/k1", "requests/minute") == 1

    async def test_a_request_that_nobody_answers_is_a_request_without_tokens(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("one", failing("server_error"))
        provider.at("two", failing("server_error"))

        await chat(gateway)

        (record,) = await booked(quota)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_FAILED
        assert quota.used("key/k1", "requests/minute") == 1
        assert quota.used("key/k1", "tokens/minute") == 0

    async def test_a_request_of_a_key_without_limits_is_recorded(
        self, gateway: Gateway, auth: FakeAuth, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        auth.found[KEY] = key_of("alice")
        provider.at("one", answered())

        await chat(gateway)

        (record,) = await booked(quota)
        assert record.charges[0].usage == USAGE

    async def test_the_books_of_an_organization_lie_in_its_own_partition(
        self, gateway: Gateway, auth: FakeAuth, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        principal = limited()
        everyone = Subject(SubjectKind.EVERYONE, "", (limit("requests", 1000),))
        principal.subjects.append(subject_message(everyone))
        auth.found[KEY] = principal
        provider.at("one", answered())

        await chat(gateway)

        await booked(quota)
        kept = {
            grant.partition
            for request in quota.requests
            for grant in getattr(request, "grants", ())
            for settlement in grant.settlements
            if settlement.records
        }
        assert kept == {"acme"}


class TestStreams:
    async def test_a_whole_stream_is_charged_as_the_upstream_says(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("one", [head(), delta("hello"), end()])

        await chat(gateway, stream=True)

        (record,) = await booked(quota)
        assert record.charges[0].usage == USAGE
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_ANSWERED

    async def test_a_client_that_leaves_a_stream_is_charged_for_what_came(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("one", [head(), delta("hello world"), HANG])
        call = gateway.openai.ChatCompletions(ask(stream=True), **credentials())
        await call.read()

        call.cancel()

        (record,) = await booked(quota)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_CANCELLED
        assert record.charges[0].estimated
        assert record.charges[0].usage.output_tokens == 2
        assert quota.held("key/k1", "tokens/minute") == 0

    async def test_a_client_that_leaves_before_the_answer_is_charged_for_its_question(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("one", HANG)
        call = gateway.openai.ChatCompletions(ask(), **credentials())
        reading = asyncio.create_task(call.read())
        await asyncio.wait_for(provider.entered.wait(), 20)

        call.cancel()
        with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await reading

        (record,) = await booked(quota)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_CANCELLED
        assert record.charges[0].usage.input_tokens > 0
        assert record.charges[0].usage.output_tokens == 0

    async def test_a_stream_that_breaks_is_charged_for_what_came(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("one", [head(), delta("hello world"), broken("connection")])

        await chat(gateway, stream=True)

        (record,) = await booked(quota)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_FAILED
        assert record.charges[0].usage.output_tokens == 2

    async def test_a_stream_that_outgrows_its_hold_asks_for_more(
        self, gateway: Gateway, auth: FakeAuth, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        auth.found[KEY] = limited(limit("tokens", 100_000))
        words = [delta("word " * 100) for _ in range(20)]
        usage = usage_pb2.Usage(input_tokens=12, output_tokens=2000)
        provider.at("one", [head(), *words, end(usage)])

        ending = await chat(gateway, stream=True)

        assert len(ending.messages) == 20
        assert quota.count("BatchHold") > 1
        await booked(quota)
        assert quota.spent["key/k1", "tokens/minute"] == 2012

    async def test_a_stream_for_which_there_is_no_more_ends_as_one_that_is_too_long(
        self, gateway: Gateway, auth: FakeAuth, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        auth.found[KEY] = limited(limit("tokens", 600))
        words = [delta("word " * 100) for _ in range(50)]
        provider.at("one", [head(), *words, HANG])

        ending = await chat(gateway, stream=True, stream_options={"include_usage": True})

        body = b"".join(message.data for message in ending.messages)
        events = [
            json.loads(line.removeprefix("data: "))
            for line in body.decode().splitlines()
            if line.startswith("data: {")
        ]
        grammar.check(body)
        assert ending.code is grpc.StatusCode.OK
        assert body.endswith(b"data: [DONE]\n\n")
        assert events[-2]["choices"][0]["finish_reason"] == "length"
        (record,) = await booked(quota)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_LIMITED
        assert events[-1]["usage"]["completion_tokens"] == record.charges[0].usage.output_tokens
        await asyncio.wait_for(provider.cancelled.wait(), 20)

    async def test_an_answer_without_bound_is_capped_under_a_strict_limit(
        self, gateway: Gateway, auth: FakeAuth, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        auth.found[KEY] = limited(limit("tokens", 100_000, "strict"))
        provider.at("one", answered())

        await chat(gateway)

        assert provider.requests[0].output_cap == 4096

    async def test_a_bound_of_the_clients_own_is_what_is_held_under_a_strict_limit(
        self, gateway: Gateway, auth: FakeAuth, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        auth.found[KEY] = limited(limit("tokens", 100_000, "strict"))
        provider.at("one", answered())

        await chat(gateway, max_tokens=50)

        assert provider.requests[0].output_cap == 50  # by whatever name the upstream goes
        held = quota.requests[0].items[0].amounts
        assert held.output_tokens == 50


class TestRefusals:
    async def test_a_client_over_its_limit_is_told_so_as_openai_does(
        self, gateway: Gateway, auth: FakeAuth, provider: FakeProvider
    ) -> None:
        auth.found[KEY] = limited(limit("requests", 0))

        ending = await chat(gateway)

        assert ending.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        error = json.loads(ending.trailers["x-meshgate-error"])["error"]
        assert error["type"] == "rate_limit_error"
        assert error["code"] == "rate_limit_exceeded"
        assert "requests/minute" in error["message"]
        assert ending.trailers["retry-after"] == "30"
        assert ending.trailers["x-ratelimit-limit-requests"] == "0"
        assert ending.trailers["x-ratelimit-remaining-requests"] == "0"
        assert ending.trailers["x-ratelimit-reset-requests"] == "30s"
        assert provider.requests == []

    async def test_a_budget_refuses_what_has_no_price(
        self, gateway: Gateway, auth: FakeAuth, provider: FakeProvider
    ) -> None:
        gateway.snapshot = snapshot(model("m", "one"))
        auth.found[KEY] = limited(limit("cost", 10**12))

        ending = await chat(gateway)

        assert ending.code is grpc.StatusCode.FAILED_PRECONDITION
        assert provider.requests == []

    async def test_a_target_that_is_full_leaves_the_request_to_the_next(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        full = Target("one", "m-at-one", limits=(limit("requests", 0),))
        gateway.snapshot = snapshot(model("m", targets=(full, Target("two", "m-at-two"))))
        provider.at("two", answered())

        ending = await chat(gateway)

        assert ending.code is grpc.StatusCode.OK
        assert provider.tried == ["two"]

    async def test_a_full_model_is_refused(
        self, gateway: Gateway, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        gateway.snapshot = snapshot(model("m", "one", limits=(limit("requests", 1),)))
        provider.at("one", answered())
        await chat(gateway)

        ending = await chat(gateway)

        assert ending.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "model/m" in ending.message
        await booked(quota)
        assert quota.spent["key/k1", "requests/minute"] == 1


class TestHeaders:
    async def test_an_answer_tells_how_the_tightest_limits_stand(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("one", answered())

        ending = await chat(gateway)

        headers = ending.headers
        assert headers["x-ratelimit-limit-requests"] == "1000"
        assert headers["x-ratelimit-remaining-requests"] == "999"
        assert headers["x-ratelimit-reset-requests"] == "1m0s"
        assert headers["x-ratelimit-limit-tokens"] == "100000"
        assert int(headers["x-ratelimit-remaining-tokens"]) < 100_000
