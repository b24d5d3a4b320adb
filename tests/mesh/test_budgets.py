"""Budgets in USD as clients meet them, from what is held for a request to what it has cost."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.administration import Admin
from mesh.books import recorded, total
from mesh.waiting import until
from plain_http import TRUSTS_NOBODY
from prometheus_client.parser import text_string_to_metric_families
from upstream import Behaviour, Hang, RemoteUpstream
from upstream.behaviours import Endless, Refuse, Usage

from meshgate.v1 import usage_record_pb2

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 60
CHAT = "/v1/chat/completions"
OUTPUT_NANOS = 1_000
DEAR_NANOS = 5_000
ANSWER_TOKENS = 10
ANSWER_NANOS = ANSWER_TOKENS * OUTPUT_NANOS
"""What an answer of as many tokens as it may have costs; questions are free."""

MODELS = """
  answers-cost:
    targets: [{provider: main, model: gpt-4o-mini, prices: {input: 0, output: 1}}]
    retries: {attempts: 1}
  dear:
    targets: [{provider: main, model: gpt-dear, prices: {input: 0, output: 5}}]
    retries: {attempts: 1}
  falls-back:
    targets: [{provider: main, model: gpt-4o-mini, prices: {input: 0, output: 1}}]
    retries: {attempts: 1}
    fallbacks: [dear]
"""
WAYS = {"mesh": [], "compact": ["--compact"]}


@pytest.fixture(scope="module", params=WAYS)
def gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream_origin: str,
) -> Iterator[Gateway]:
    """Two processes of routing, whose models have prices."""
    directory = tmp_path_factory.mktemp(f"budgets-{request.param}")
    options = [*WAYS[request.param], "--workers", "2"]
    with running_gateway(directory, upstream_origin, *options, models=MODELS) as gateway:
        yield gateway


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[Admin]:
    async with gateway.client(ADMIN_KEY) as client:
        yield Admin(client)


def chat(text: str = "hello", model: str = "answers-cost", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def asked(gateway: Gateway, key: str, **body: Any) -> httpx.Response:
    """An answer, by a connection of its own: all processes get some."""
    async with gateway.client(key) as client:
        return await client.post(CHAT, json=chat(**body))


async def statuses(gateway: Gateway, key: str, count: int, **body: Any) -> Counter[int]:
    """The statuses of so many requests at once."""
    answers = await asyncio.gather(*(asked(gateway, key, **body) for _ in range(count)))
    return Counter(answer.status_code for answer in answers)


def cost_nanos(records: list[Any]) -> int:
    return sum(charge.cost_nanos for record in records for charge in record.charges)


async def alerts(gateway: Gateway) -> float:
    """How many soft limits on money were passed, by the metrics of all processes."""
    addresses = {each for some in gateway.ready["metrics"].values() for each in some}
    async with httpx.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY) as client:
        pages = [(await client.get(address)).text for address in addresses]
    samples = [
        sample
        for page in pages
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]
    return sum(
        sample.value
        for sample in samples
        if sample.name == "meshgate_quota_alerts_total"
        and sample.labels["limit"].startswith("cost/")
    )


class TestParallelRequests:
    async def test_a_strict_budget_admits_exactly_what_fits(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("COST", 25 * ANSWER_NANOS))
        usage = Usage(input_tokens=3, output_tokens=ANSWER_TOKENS)
        await upstream.script("all of it", Behaviour(usage=usage))

        seen = await statuses(gateway, key, 50, text="all of it", max_tokens=ANSWER_TOKENS)

        assert seen == {200: 25, 429: 25}
        assert len(await upstream.requests()) == 25
        assert cost_nanos(await recorded(gateway, key_id, 25)) == 25 * ANSWER_NANOS

    async def test_what_was_held_and_not_spent_can_be_spent(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("COST", 10 * ANSWER_NANOS))
        usage = Usage(input_tokens=3, output_tokens=ANSWER_TOKENS // 2)
        await upstream.script("half of it", Behaviour(usage=usage))
        seen: Counter[int] = Counter()

        async def spent() -> bool:
            # Half of what is held for each comes back: the last one needs a whole hold.
            seen.update(await statuses(gateway, key, 8, text="half of it", max_tokens=10))
            return seen[200] >= 19

        await until(spent, BOUND_SECONDS)
        last = await asked(gateway, key, text="half of it", max_tokens=ANSWER_TOKENS)

        assert last.status_code == 429
        assert seen[200] == 19
        assert cost_nanos(await recorded(gateway, key_id, 19)) == 19 * ANSWER_NANOS // 2

    async def test_answers_tell_what_is_booked(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("COST", 10 * ANSWER_NANOS))
        await upstream.script("tell me", Behaviour(usage=Usage(input_tokens=3, output_tokens=7)))

        answer = await asked(gateway, key, text="tell me", max_tokens=ANSWER_TOKENS)

        assert answer.headers["x-meshgate-cost-usd"] == "0.000007"
        assert cost_nanos(await recorded(gateway, key_id)) == 7_000


class TestWhatUpstreamsAreTold:
    async def test_a_strict_budget_caps_the_answer(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("COST", 4 * OUTPUT_NANOS + 1))

        answer = await asked(gateway, key, text="cap me")

        assert answer.json()["choices"][0]["finish_reason"] == "length"
        (request,) = await upstream.requests()
        assert request.body["max_tokens"] == 4
        assert cost_nanos(await recorded(gateway, key_id)) == 4 * OUTPUT_NANOS

    async def test_a_bound_of_the_callers_own_is_lowered_and_never_raised(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        keys = [await admin.key(total("COST", 50 * OUTPUT_NANOS)) for _ in range(2)]

        await asked(gateway, keys[0][1], max_tokens=3)
        await asked(gateway, keys[1][1], max_completion_tokens=100_000)

        low, high = await upstream.requests()
        assert low.body["max_tokens"] == 3
        assert high.body["max_completion_tokens"] == 50


class TestSoftBudgets:
    async def test_one_warns_once_and_refuses_nothing(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("COST", 3 * ANSWER_NANOS, "SOFT"))
        usage = Usage(input_tokens=3, output_tokens=ANSWER_TOKENS)
        await upstream.script("go on", Behaviour(usage=usage))
        before = await alerts(gateway)

        for _ in range(3):
            assert await statuses(gateway, key, 10, text="go on") == {200: 10}
        assert len(await recorded(gateway, key_id, 30)) == 30

        async def warned() -> bool:
            return await alerts(gateway) > before

        await until(warned, BOUND_SECONDS)
        assert await alerts(gateway) == before + 1
        warnings = [
            line
            for line in gateway.logs().splitlines()
            if '"event":"a soft limit is passed"' in line and key_id in line
        ]
        assert len(warnings) == 1


class TestBudgetsThatEnd:
    @pytest.mark.parametrize("wants_cost", [False, True])
    async def test_a_stream_ends_as_too_long_and_what_was_used_is_settled(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream, *, wants_cost: bool
    ) -> None:
        key_id, key = await admin.key(total("COST", 300 * OUTPUT_NANOS, "NORMAL"))
        await upstream.script("on and on", Behaviour(text="many words ", fault=Endless()))
        sdk = openai.AsyncOpenAI(base_url=f"{gateway.base_url}/v1", api_key=key, max_retries=0)

        async with sdk as client:
            stream = await client.chat.completions.create(
                model="answers-cost",
                messages=[{"role": "user", "content": "on and on"}],
                stream=True,
                stream_options={"include_usage": True},
                extra_headers={"x-meshgate-include-cost": "true"} if wants_cost else {},
            )
            chunks = [chunk async for chunk in stream]

        *_, last, usage = chunks
        assert last.choices[0].finish_reason == "length"
        assert usage.choices == []
        (record,) = await recorded(gateway, key_id)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_LIMITED
        (charge,) = record.charges
        assert usage.usage.completion_tokens == charge.usage.output_tokens
        assert charge.cost_nanos == charge.usage.output_tokens * OUTPUT_NANOS
        told = (usage.model_extra or {}).get("meshgate")
        expected = f"{charge.cost_nanos / 1e9:.9f}".rstrip("0")
        assert told == ({"cost_usd": expected} if wants_cost else None)

    async def test_the_events_of_such_a_stream_are_legal(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        _, key = await admin.key(total("COST", 300 * OUTPUT_NANOS, "NORMAL"))
        await upstream.script("on and on", Behaviour(text="many words ", fault=Endless()))

        answer = await asked(gateway, key, text="on and on", stream=True)

        events = answer.text.removesuffix("\n\n").split("\n\n")
        assert all(event.startswith("data: ") for event in events)
        assert events[-1] == "data: [DONE]"
        assert json.loads(events[-2][6:])["choices"][0]["finish_reason"] == "length"


class TestFallbacks:
    async def test_a_budget_is_held_at_the_dearest_target(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        _, key = await admin.key(total("COST", 3 * ANSWER_TOKENS * DEAR_NANOS))
        await upstream.script("wait", Behaviour(fault=Hang(at="head")))
        asking = [
            asyncio.create_task(
                asked(gateway, key, text="wait", model="falls-back", max_tokens=ANSWER_TOKENS)
            )
            for _ in range(9)
        ]

        async def refused() -> bool:
            return sum(task.done() for task in asking) == 6

        await until(refused, BOUND_SECONDS)
        waiting = [task for task in asking if not task.done()]
        answers = [task.result().status_code for task in asking if task.done()]
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

        assert answers == [429] * 6
        assert len(await upstream.requests()) == 3

    async def test_the_fallback_is_paid_for_and_not_what_failed(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("COST", 3 * ANSWER_TOKENS * DEAR_NANOS))
        await upstream.script("fall back", Behaviour(fault=Refuse(status=500)), times=1)
        await upstream.script(
            "fall back", Behaviour(usage=Usage(input_tokens=3, output_tokens=ANSWER_TOKENS))
        )

        answer = await asked(
            gateway, key, text="fall back", model="falls-back", max_tokens=ANSWER_TOKENS
        )

        assert answer.headers["x-meshgate-model"] == "dear"
        assert answer.headers["x-meshgate-cost-usd"] == "0.00005"
        (record,) = await recorded(gateway, key_id)
        assert [charge.model for charge in record.charges] == ["gpt-dear"]
        assert record.charges[0].cost_nanos == ANSWER_TOKENS * DEAR_NANOS


class TestRefusals:
    async def test_one_names_the_budget_whose_it_is_and_what_is_left(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("COST", ANSWER_NANOS + 3_000))
        usage = Usage(input_tokens=3, output_tokens=ANSWER_TOKENS)
        await upstream.script("spend", Behaviour(usage=usage))
        await asked(gateway, key, text="spend", max_tokens=ANSWER_TOKENS)
        await recorded(gateway, key_id)

        answer = await asked(gateway, key, text="spend", max_tokens=ANSWER_TOKENS)

        error = answer.json()["error"]
        assert answer.status_code == 429
        assert error["code"] == "insufficient_quota"
        assert f"the limit of 0.000013 USD/total of key/{key_id}" in error["message"]
        assert "0.000003 USD left, 0.00001 USD needed" in error["message"]
        assert int(answer.headers["retry-after"]) >= 1
