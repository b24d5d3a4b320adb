"""Service tiers and what requests in them are held for and charged."""

import json
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody
from msgspec.structs import replace
from routing.fake_quota import FakeQuota
from routing.fakes import (
    KEY,
    FakeAuth,
    FakeProvider,
    answer,
    chunk,
    head,
    key_of,
    snapshot,
    until,
)
from routing.gateway import credentials, ending_of, serving
from routing.metering_bench import BODY, MeterBench
from routing.metering_values import asked, at, chain, limit, model

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.neutral import Usage
from meshgate.limits.limit import LARGEST_COST_NANOS, Subject, SubjectKind
from meshgate.limits.messages import subject_message
from meshgate.pricing.prices import Prices, Step, Tier
from meshgate.routing.consumption import consumption
from meshgate.routing.demand import Demand, Demands
from meshgate.routing.failure import Failure
from meshgate.routing.peers.provider import PlainAnswer
from meshgate.tokens.estimating import Estimator
from meshgate.v1 import provider_service_pb2, usage_pb2
from meshgate.v1 import usage_record_pb2 as pb

USD = 1_000_000_000
USUAL = (USD, USD // 2, USD, 2 * USD)
TIERED = Prices(
    *USUAL,
    tiers=(
        Tier("batch", Prices(9 * USD, 9 * USD, 9 * USD, 9 * USD)),
        Tier("flex", Prices(USD // 2, USD // 4, USD // 2, USD)),
        Tier("priority", Prices(2 * USD, USD, 2 * USD, 4 * USD)),
    ),
)
STEPPED = Prices(*USUAL, steps=(Step(100, Prices(3 * USD, 3 * USD, 3 * USD, 6 * USD)),))
USAGE = Usage(input_tokens=1_000, output_tokens=100)
STRICT = chain(limit("cost", 10**12, "strict"))


def demand(prices: Prices, *chains: Any, body: bytes = BODY, **head: Any) -> Demand:
    question = asked(body, *(chains or (chain(limit("cost", 10**12)),)), **head)
    demands = Demands(Estimator(), lambda: snapshot(model("m", at("one", prices))))
    return demands.of(question, question.principal.chains)


class TestCharges:
    @pytest.mark.parametrize(
        ("served", "asked_for", "expected"),
        [
            ("", "", 1_200_000),
            ("default", "", 1_200_000),
            ("priority", "", 2_400_000),
            ("flex", "flex", 600_000),
            ("default", "priority", 1_200_000),  # not served in the tier after all
            ("default", "flex", 1_200_000),
            ("", "priority", 2_400_000),  # an upstream that does not say
            ("", "flex", 1_200_000),
            ("", "auto", 1_200_000),
            ("scale", "", 1_200_000),
        ],
    )
    def test_what_was_served_is_charged_or_else_the_dearer_that_may_have_been(
        self, served: str, asked_for: str, expected: int
    ) -> None:
        usage = replace(USAGE, service_tier=served)

        consumed = consumption(at("one", TIERED), usage, asked_tier=asked_for)

        assert consumed.cost_nanos == expected
        assert consumed.amounts.cost_nanos == expected

    def test_a_long_question_is_charged_its_step(self) -> None:
        target = at("one", STEPPED)

        costs = [
            consumption(target, Usage(input_tokens=tokens)).cost_nanos for tokens in (100, 101)
        ]

        assert costs == [100 * 1_000, 101 * 3_000]

    def test_parts_with_their_own_prices_are_charged_so(self) -> None:
        prices = Prices(
            *USUAL, long_cache_creation_nanos=4 * USD, input_audio_nanos=10 * USD, request_nanos=7
        )
        usage = Usage(
            input_tokens=100,
            cache_creation_input_tokens=50,
            long_cache_creation_input_tokens=20,
            input_audio_tokens=30,
        )

        consumed = consumption(at("one", prices), usage)

        assert consumed.cost_nanos == 30 * 10_000 + 20 * 4_000 + 30 * 1_000 + 20 * 1_000 + 7


class TestHolds:
    @pytest.mark.parametrize(
        ("tier", "times"),
        [("", 1), ("auto", 1), ("default", 1), ("flex", 1), ("priority", 2), ("batch", 9)],
    )
    def test_an_estimate_is_of_the_dearest_tier_that_is_asked_for(
        self, tier: str, times: int
    ) -> None:
        usual = demand(Prices(*USUAL), max_output_tokens=0).amounts.cost_nanos

        held = demand(TIERED, service_tier=tier, max_output_tokens=0).amounts.cost_nanos

        assert held == usual * times

    @pytest.mark.parametrize(
        ("tier", "times"),
        [("", 2), ("auto", 2), ("default", 1), ("flex", 1), ("priority", 2), ("unheard-of", 1)],
    )
    def test_a_bound_is_of_any_tier_that_may_be_served(self, tier: str, times: int) -> None:
        usual = demand(Prices(*USUAL), STRICT).amounts.cost_nanos

        assert demand(TIERED, STRICT, service_tier=tier).amounts.cost_nanos == usual * times

    def test_a_budget_leaves_less_room_in_a_dearer_tier(self) -> None:
        tight = chain(limit("cost", len(BODY) * 2_000 + 9 * 4_000, "strict"))

        held = demand(TIERED, tight, service_tier="priority")

        assert held.output_cap == 9
        assert held.amounts.cost_nanos == len(BODY) * 2_000 + 9 * 4_000

    def test_a_step_counts_where_the_question_may_reach_it(self) -> None:
        short = demand(STEPPED, STRICT, body=b"x" * 100, max_output_tokens=1)
        long = demand(STEPPED, STRICT, body=b"x" * 101, max_output_tokens=1)

        assert short.amounts.cost_nanos == 100 * 1_000 + 2_000
        assert long.amounts.cost_nanos == 101 * 3_000 + 6_000

    def test_what_a_request_costs_by_itself_is_held_once(self) -> None:
        prices = Prices(*USUAL, request_nanos=500)
        demands = Demands(Estimator(), lambda: snapshot(model("m", at("one", prices))))

        held = demand(prices, STRICT, max_output_tokens=1).amounts.cost_nanos
        more = demands.more_output(RequestHead("m"), 10, 5).cost_nanos

        assert held == len(BODY) * 1_000 + 2_000 + 500
        assert more == 10 * 2_000

    def test_more_is_held_at_the_prices_of_the_tier_and_of_the_length(self) -> None:
        tiered = Demands(Estimator(), lambda: snapshot(model("m", at("one", TIERED))))
        stepped = Demands(Estimator(), lambda: snapshot(model("m", at("one", STEPPED))))

        assert tiered.more_output(RequestHead("m", service_tier="priority"), 10, 5).cost_nanos == (
            10 * 4_000
        )
        assert stepped.more_output(RequestHead("m"), 10, 101).cost_nanos == 10 * 6_000
        assert stepped.more_output(RequestHead("m"), 10**15, 101).cost_nanos == LARGEST_COST_NANOS


class TestStrictBudgets:
    async def test_a_client_that_asks_for_priority_cannot_exceed_one_unseen(self) -> None:
        bench = MeterBench()
        bench.configured = snapshot(model("m", at("one", TIERED)))
        meter = await bench.open(STRICT, service_tier="priority", max_output_tokens=10)
        held = meter.demand.amounts.cost_nanos
        usage = Usage(input_tokens=len(BODY), output_tokens=10, service_tier="priority")
        await bench.attempt(meter, PlainAnswer(b"{}", (), usage, "m-2026", 0.0))

        meter.answered(usage, "m-2026", b"{}")
        await bench.settled()

        spent, still_held = bench.used("cost/minute")
        assert spent == held == len(BODY) * 2_000 + 10 * 4_000
        assert still_held == 0

    @pytest.mark.parametrize("served", ["default", "flex", "priority", ""])
    async def test_no_tier_that_an_upstream_serves_unasked_exceeds_one(self, served: str) -> None:
        bench = MeterBench()
        bench.configured = snapshot(model("m", at("one", TIERED)))
        meter = await bench.open(STRICT, max_output_tokens=10)
        usage = Usage(input_tokens=len(BODY), output_tokens=10, service_tier=served)
        await bench.attempt(meter, PlainAnswer(b"{}", (), usage, "m-2026", 0.0))

        meter.answered(usage, "m-2026", b"{}")
        await bench.settled()

        assert 0 < bench.used("cost/minute")[0] <= meter.demand.amounts.cost_nanos

    async def test_the_record_says_which_tier_was_served(self) -> None:
        bench = MeterBench()
        bench.configured = snapshot(model("m", at("one", TIERED)))
        meter = await bench.open(STRICT, service_tier="priority")
        failed = replace(USAGE, service_tier="priority")
        await bench.attempt(meter, Failure("server_error", "one", usage=failed))
        usage = replace(USAGE, service_tier="default")
        await bench.attempt(meter, PlainAnswer(b"{}", (), usage, "m-2026", 0.0))

        meter.answered(usage, "m-2026", b"{}")
        await bench.settled()

        (record,) = bench.service.records
        tiers = [(charge.usage.service_tier, charge.cost_nanos) for charge in record.charges]
        assert tiers == [("priority", 2_400_000), ("default", 1_200_000)]
        assert record.outcome == pb.REQUEST_OUTCOME_ANSWERED


class TestThroughTheGateway:
    """What a client asks for in its body, and an upstream says in its answer, is what is booked."""

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("asked_for", "served", "token_nanos"),
        [("priority", "priority", 2_000), ("priority", "default", 1_000), ("auto", "flex", 500)],
    )
    async def test_requests_are_held_and_booked_by_their_tier(
        self, *, stream: bool, asked_for: str, served: str, token_nanos: int
    ) -> None:
        auth, provider, quota = FakeAuth(), FakeProvider(), FakeQuota()
        principal = key_of("alice")
        principal.organization_id = "acme"
        principal.subjects.append(
            subject_message(Subject(SubjectKind.KEY, "k1", (limit("cost", 10**12, "strict"),)))
        )
        auth.found[KEY] = principal
        usage = usage_pb2.Usage(input_tokens=40, output_tokens=5, service_tier=served)
        text = json.dumps({"choices": [{"message": {"content": "hello"}}]})
        plain = answer(text.encode())
        plain.answer.usage.CopyFrom(usage)
        done = provider_service_pb2.StreamDone(usage=usage)
        said = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": "hello"}}]}
        event = chunk(b"data: " + json.dumps(said).encode() + b"\n\n")
        steps = [head(), event, provider_service_pb2.StreamExecuteResponse(done=done)]
        provider.at("one", steps if stream else plain)
        body = {
            "model": "m",
            "stream": stream,
            "messages": [{"role": "user", "content": "hi"}],
            "service_tier": asked_for,
            "max_tokens": 5,
        }
        configured = snapshot(model("m", at("one", TIERED)))

        async with serving("compact", configured, auth, provider, quota=quota) as gateway:
            asked_body = HttpBody(data=json.dumps(body).encode())
            await ending_of(gateway.openai.ChatCompletions(asked_body, **credentials()))
            await until(lambda: len(quota.records) == 1)

        (charge,) = quota.records[0].charges
        assert charge.usage.service_tier == served
        assert charge.cost_nanos == (40 + 2 * 5) * token_nanos
        assert quota.spent["key/k1", "cost/minute"] == charge.cost_nanos
        assert json.loads(provider.requests[0].body)["service_tier"] == asked_for
