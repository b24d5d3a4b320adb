"""Requests for models with a cache, as clients meet them."""

import asyncio

from google.api.httpbody_pb2 import HttpBody
from routing.cached import (
    POLICY,
    answered,
    completion,
    said,
    streamed,
    word,
)
from routing.fake_cache import FakeCache
from routing.fakes import (
    HANG,
    FakeProvider,
    model,
    snapshot,
    until,
)
from routing.gateway import Gateway, credentials, ending_of
from routing.metering_values import at

from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.v1 import chat_pb2, usage_pb2


async def test_the_same_question_goes_upstream_once(ask, provider: FakeProvider):
    first, second = await ask(), await ask()

    assert [word(first), word(second)] == ["miss", "hit"]
    assert said(first) == said(second) == completion()
    assert len(provider.requests) == 1


async def test_a_question_that_is_spelled_otherwise_is_the_same(
    gateway: Gateway, ask, provider: FakeProvider
):
    await ask()
    body = b'{ "messages":[{"content":"h\\u0069","role":"user"}],\n"user":"me","model":"m"}'

    again = await ending_of(gateway.openai.ChatCompletions(HttpBody(data=body), **credentials()))

    assert word(again) == "hit"


async def test_another_question_is_not(ask, provider: FakeProvider):
    await ask("one")

    assert word(await ask("two")) == "miss"
    assert word(await ask("one", temperature=0)) == "miss"
    assert len(provider.requests) == 3


async def test_another_configuration_asks_anew(ask, gateway: Gateway):
    await ask()

    gateway.snapshot = snapshot(model("m", "a", cache=POLICY), revision="r2")

    assert word(await ask()) == "miss"


async def test_a_hit_says_who_answered_and_that_there_was_no_attempt(ask):
    await ask()

    headers = (await ask()).headers

    assert headers["x-meshgate-model"] == "m"
    assert headers["x-meshgate-provider"] == "a"
    assert headers["x-meshgate-attempts"] == "0"


async def test_a_model_without_a_cache_has_none(ask, cache: FakeCache, provider: FakeProvider):
    first, second = await ask(model="plain"), await ask(model="plain")

    assert [word(first), word(second)] == [None, None]
    assert len(provider.requests) == 2
    assert cache.lookups == []


async def test_an_entry_says_all_that_the_contract_wants(ask, cache: FakeCache, gateway: Gateway):
    gateway.snapshot = snapshot(model("m", targets=(at("a"),), cache=POLICY))
    await ask()

    await until(lambda: cache.stores)
    [item] = cache.stores
    assert item.ttl.seconds == 60
    assert item.entry.body == completion()
    assert (item.entry.provider, item.entry.served_model) == ("a", "up-1")
    assert item.entry.usage == usage_pb2.Usage(input_tokens=5, output_tokens=7)
    assert item.entry.finish_reason == chat_pb2.FINISH_REASON_STOP
    assert item.entry.cost_nanos == 5 * 1_000 + 7 * 2_000
    assert item.entry.create_time.seconds > 1_700_000_000


# ----------------------------------------------------------------- what clients say


async def test_no_cache_asks_anew_and_keeps_the_answer(ask, provider: FakeProvider):
    provider.at("a", answered(text="old"), answered(text="new"))
    await ask()

    fresh = await ask(headers={"cache_control": "no-cache"})
    after = await ask()

    assert [word(fresh), word(after)] == ["bypass", "hit"]
    assert said(fresh) == said(after) == completion("new")


async def test_no_store_keeps_nothing_and_may_be_answered_from_what_is_kept(
    ask, provider: FakeProvider, cache: FakeCache
):
    first = await ask(headers={"cache_control": "no-store"})
    second = await ask()
    third = await ask(headers={"cache_control": "no-store"})

    assert [word(each) for each in (first, second, third)] == ["miss", "miss", "hit"]
    await until(lambda: len(cache.stores) == 1)
    assert len(provider.requests) == 2


async def test_no_store_keeps_no_stream_either(ask, provider: FakeProvider, cache: FakeCache):
    provider.at("a", streamed("x"))

    await ask(stream=True, headers={"cache_control": "no-store"})

    assert word(await ask(stream=True)) == "miss"


async def test_max_age_is_told_to_the_cache(ask, cache: FakeCache):
    await ask(headers={"cache_control": "max-age=30"})

    [item] = cache.lookups
    assert item.max_age.seconds == 30


# ----------------------------------------------------------------- at the same time


async def test_equal_requests_at_the_same_time_go_upstream_once(ask, provider: FakeProvider):
    endings = await asyncio.gather(*[ask() for _ in range(5)])

    assert sorted(word(ending) for ending in endings) == ["hit"] * 4 + ["miss"]
    assert {said(ending) for ending in endings} == {completion()}
    assert len(provider.requests) == 1


async def test_a_stream_waits_for_nobody(ask, provider: FakeProvider):
    provider.at("a", HANG, streamed("x"))
    waiting = asyncio.create_task(ask())
    await until(lambda: provider.requests)

    ending = await ask(stream=True)

    assert word(ending) == "miss"
    assert b'"content": "x"' in said(ending)
    waiting.cancel()
    await asyncio.wait([waiting])


# ----------------------------------------------------------------- when the cache is away


async def test_a_cache_that_is_away_is_a_miss(ask, cache: FakeCache, provider: FakeProvider):
    cache.failure = ServiceUnavailableError("away")

    endings = [await ask(f"question {number}") for number in range(6)]

    assert {word(ending) for ending in endings} == {"miss"}
    assert len(provider.requests) == 6
