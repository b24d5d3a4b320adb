"""What plain answers say they have cost, which is what is booked."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fake_cache import FakeCache
from routing.fake_quota import FakeQuota
from routing.fakes import FakeAuth, FakeProvider, until
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving
from routing.priced import COST_NANOS, COST_USD, MODELS, completion, failed, used

from meshgate.v1 import chat_pb2, usage_pb2
from meshgate.v1 import gateway_service_pb2 as pb

HEADER = "x-meshgate-cost-usd"
ANSWER = pb.ChatResponse(
    id="c-1", message={"role": chat_pb2.ROLE_ASSISTANT, "parts": [{"text": "hello world"}]}
).SerializeToString()


@pytest.fixture
def quota() -> FakeQuota:
    return FakeQuota()


@pytest.fixture
def cache() -> FakeCache:
    return FakeCache()


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest,
    auth: FakeAuth,
    provider: FakeProvider,
    quota: FakeQuota,
    cache: FakeCache,
) -> AsyncIterator[Gateway]:
    async with serving(request.param, MODELS, auth, provider, quota=quota, cache=cache) as gateway:
        yield gateway


@pytest.fixture
def ask(gateway: Gateway) -> Any:
    """Asks in OpenAI's chat; tells how it ended."""

    async def ask(model: str = "m", **more: Any) -> Any:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]} | more
        asked = HttpBody(data=json.dumps(body).encode())
        return await ending_of(gateway.openai.ChatCompletions(asked, **credentials()))

    return ask


async def booked(quota: FakeQuota) -> list[Any]:
    """The charges of the one request, once it is settled."""
    await until(lambda: quota.records)
    (record,) = quota.records
    return list(record.charges)


def typed(model: str = "m") -> pb.ChatRequest:
    said = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text="hi")])
    return pb.ChatRequest(model=model, messages=[said])


class TestTheHeader:
    async def test_it_is_exact(self, ask: Any, provider: FakeProvider, quota: FakeQuota) -> None:
        provider.at("a", used(completion()))

        ending = await ask()

        assert ending.headers[HEADER] == COST_USD
        (charge,) = await booked(quota)
        assert charge.cost_nanos == COST_NANOS

    async def test_attempts_that_failed_and_a_fallback_are_in_it(
        self, ask: Any, provider: FakeProvider, quota: FakeQuota
    ) -> None:
        provider.at("a", failed(usage_pb2.Usage(input_tokens=5)), failed())
        provider.at("b", failed())
        provider.at("c", used(completion()))

        ending = await ask()

        assert ending.headers["x-meshgate-model"] == "dear"
        assert ending.headers[HEADER] == "0.00012075"  # 12 at 10,000 nano-dollars and 5 at 150
        assert sum(charge.cost_nanos for charge in await booked(quota)) == 120_750

    @pytest.mark.parametrize("usage", [None, usage_pb2.Usage(input_tokens=-1, output_tokens=7)])
    async def test_what_is_counted_here_is_what_is_told(
        self, ask: Any, provider: FakeProvider, quota: FakeQuota, usage: Any
    ) -> None:
        provider.at("a", used(completion(), usage))

        ending = await ask()

        (charge,) = await booked(quota)
        assert charge.estimated
        assert ending.headers[HEADER] == f"{charge.cost_nanos / 1e9:.9f}".rstrip("0")
        assert charge.usage.output_tokens == 2

    async def test_what_is_free_costs_nothing(self, ask: Any, provider: FakeProvider) -> None:
        provider.at("a", used(completion()))

        assert (await ask("free")).headers[HEADER] == "0"

    @pytest.mark.parametrize("usage", [None, usage_pb2.Usage(input_tokens=5)])
    async def test_it_is_absent_where_the_model_has_no_price(
        self, ask: Any, provider: FakeProvider, usage: Any
    ) -> None:
        provider.at("a", used(completion(), usage))

        assert HEADER not in (await ask("unpriced")).headers

    async def test_it_is_absent_where_an_attempt_has_no_price(
        self, ask: Any, provider: FakeProvider
    ) -> None:
        provider.at("a", failed(usage_pb2.Usage(input_tokens=5)))
        provider.at("b", used(completion()))

        assert HEADER not in (await ask("mixed")).headers

    async def test_an_attempt_without_a_price_that_used_nothing_does_not_matter(
        self, ask: Any, provider: FakeProvider
    ) -> None:
        provider.at("a", failed())
        provider.at("b", used(completion()))

        assert (await ask("mixed")).headers[HEADER] == COST_USD

    async def test_what_was_kept_costs_nothing(
        self, ask: Any, provider: FakeProvider, cache: FakeCache
    ) -> None:
        provider.at("a", used(completion()))

        first = await ask("cached")
        await until(lambda: cache.entries)
        again = await ask("cached")

        assert again.headers["x-meshgate-cache"] == "hit"
        assert (first.headers[HEADER], again.headers[HEADER]) == (COST_USD, "0")

    async def test_errors_have_none(self, ask: Any, provider: FakeProvider) -> None:
        provider.at("a", failed(usage_pb2.Usage(input_tokens=5)))
        provider.at("b", failed())
        provider.at("c", failed())

        assert HEADER not in (await ask()).headers

    async def test_completions_and_embeddings_have_it_too(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", used(b"{}"))
        prompt = HttpBody(data=b'{"model": "m", "prompt": "hi"}')
        texts = HttpBody(data=b'{"model": "m", "input": "hi"}')

        completed = await ending_of(gateway.openai.Completions(prompt, **credentials()))
        embedded = await ending_of(gateway.openai.Embeddings(texts, **credentials()))

        assert [completed.headers[HEADER], embedded.headers[HEADER]] == [COST_USD, COST_USD]


class TestTheTypedApi:
    async def test_chat_tells_it(self, gateway: Gateway, provider: FakeProvider) -> None:
        provider.at("a", used(ANSWER))

        ending = await ending_of(gateway.typed.Chat(typed(), **credentials()))

        assert ending.messages[0].cost_nanos == COST_NANOS
        assert ending.headers[HEADER] == COST_USD

    async def test_what_is_free_is_told_from_what_has_no_price(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", used(ANSWER))

        free = await gateway.typed.Chat(typed("free"), **credentials())
        unpriced = await gateway.typed.Chat(typed("unpriced"), **credentials())

        assert free.HasField("cost_nanos")
        assert not unpriced.HasField("cost_nanos")

    async def test_embed_tells_it(self, gateway: Gateway, provider: FakeProvider) -> None:
        vectors = {"data": [{"index": 0, "embedding": [1.0]}], "model": "up"}
        provider.at("a", used(json.dumps(vectors).encode()))
        request = pb.EmbedRequest(model="m", texts=["hi"])

        ending = await ending_of(gateway.typed.Embed(request, **credentials()))

        assert ending.messages[0].cost_nanos == COST_NANOS
        assert ending.headers[HEADER] == COST_USD
