"""Embeddings for models with a cache: each input is kept by itself."""

import asyncio
import json
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.cached import POLICY, said, word
from routing.fake_cache import FakeCache
from routing.fake_quota import FakeQuota
from routing.fakes import FakeAuth, FakeProvider, answer, failing, model, snapshot, until
from routing.gateway import Gateway, credentials, ending_of
from routing.metering_values import at

from meshgate.config.snapshot import CachePolicy, Target
from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.v1 import gateway_service_pb2, usage_pb2, usage_record_pb2
from meshgate.v1 import limit_pb2 as limits


def vectors(*numbers: float, reported: bool = True) -> Any:
    """What provider says: one vector each, which took two tokens each."""
    items = [
        {"object": "embedding", "index": index, "embedding": [number]}
        for index, number in enumerate(numbers)
    ]
    tokens = 2 * len(numbers)
    told = {"object": "list", "data": items, "model": "up"}
    usage = {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if reported else {}
    response = answer(json.dumps(told | usage).encode())
    response.answer.served_model = "up-1"
    if reported:
        response.answer.usage.CopyFrom(usage_pb2.Usage(input_tokens=tokens))
    return response


@pytest.fixture
def embed(gateway: Gateway):
    async def embed(given: Any, headers: dict[str, str] | None = None, **members: Any) -> Any:
        body = json.dumps({"model": "m", "input": given} | members).encode()
        call = gateway.openai.Embeddings(HttpBody(data=body), **credentials(**headers or {}))
        return await ending_of(call)

    return embed


def numbers(ending: Any) -> list[float]:
    data = json.loads(said(ending))["data"]
    assert [item["index"] for item in data] == list(range(len(data)))
    return [item["embedding"][0] for item in data]


def tokens(ending: Any) -> int:
    return json.loads(said(ending))["usage"]["total_tokens"]


def inputs(request: Any) -> Any:
    return json.loads(request.body)["input"]


# ----------------------------------------------------------------- what goes upstream


async def test_the_same_list_goes_upstream_once(embed, provider: FakeProvider):
    provider.at("a", vectors(1, 2))

    first, second = await embed(["one", "two"]), await embed(["one", "two"])

    assert [word(first), word(second)] == ["miss", "hit"]
    assert said(first) == vectors(1, 2).answer.body
    assert json.loads(said(second)) == json.loads(said(first))
    assert len(provider.requests) == 1


async def test_only_what_is_new_goes_upstream(embed, provider: FakeProvider, cache: FakeCache):
    provider.at("a", vectors(1, 2), vectors(3))
    await embed(["one", "two"])

    mixed = await embed(["three", "two", "one"])
    after = await embed(["two", "three"])

    assert [word(mixed), word(after)] == ["miss", "hit"]
    assert numbers(mixed) == [3, 2, 1]
    assert numbers(after) == [2, 3]
    assert [inputs(request) for request in provider.requests] == [["one", "two"], ["three"]]
    assert (tokens(mixed), tokens(after)) == (6, 4)


async def test_what_is_asked_for_twice_is_asked_once(embed, provider: FakeProvider):
    provider.at("a", vectors(1, 2))

    first = await embed(["one", "two", "one"])

    assert numbers(first) == [1, 2, 1]
    assert inputs(provider.requests[0]) == ["one", "two"]


async def test_a_text_is_the_same_alone_and_in_a_list(embed, provider: FakeProvider):
    provider.at("a", vectors(1))
    alone = await embed("one")

    listed = await embed(["one", "one"])

    assert word(listed) == "hit"
    assert numbers(alone) == [1]
    assert numbers(listed) == [1, 1]


async def test_tokens_are_inputs_as_texts_are(embed, provider: FakeProvider):
    provider.at("a", vectors(1), vectors(2))
    await embed([7, 8, 9])

    both = await embed([[7, 8, 9], [7, 8]])

    assert numbers(both) == [1, 2]
    assert inputs(provider.requests[1]) == [[7, 8]]


async def test_what_changes_vectors_asks_anew(embed, provider: FakeProvider):
    provider.at("a", vectors(1))
    await embed("one")

    for member in ({"dimensions": 8}, {"encoding_format": "base64"}):
        assert word(await embed("one", **member)) == "miss"


async def test_typed_clients_have_their_inputs_kept_too(gateway: Gateway, provider: FakeProvider):
    provider.at("a", vectors(1, 2), vectors(3))

    async def embed(*texts: str) -> Any:
        request = gateway_service_pb2.EmbedRequest(model="m", texts=texts)
        return await ending_of(gateway.typed.Embed(request, **credentials()))

    await embed("one", "two")
    [mixed] = (await embed("three", "one")).messages
    hit = await embed("one", "three")

    assert [list(each.values) for each in mixed.embeddings] == [[3], [1]]
    assert mixed.usage.input_tokens == 4
    assert inputs(provider.requests[1]) == ["three"]
    assert word(hit) == "hit"


# ----------------------------------------------------------------- what clients and policies say


async def test_no_cache_asks_for_all_and_keeps_each(embed, provider: FakeProvider):
    provider.at("a", vectors(1), vectors(7, 8))
    await embed("one")

    fresh = await embed(["one", "two"], headers={"cache_control": "no-cache"})
    after = await embed("one")

    assert [word(fresh), word(after)] == ["bypass", "hit"]
    assert numbers(fresh) == [7, 8]
    assert numbers(after) == [7]


async def test_no_store_keeps_none_and_takes_what_is_kept(
    embed, provider: FakeProvider, cache: FakeCache
):
    provider.at("a", vectors(1), vectors(2))
    await embed("one")
    await until(lambda: cache.stores)

    mixed = await embed(["one", "two"], headers={"cache_control": "no-store"})

    assert numbers(mixed) == [1, 2]
    assert word(await embed("two")) == "miss"


async def test_max_age_is_told_for_each(embed, provider: FakeProvider, cache: FakeCache):
    provider.at("a", vectors(1, 2))

    await embed(["one", "two"], headers={"cache_control": "max-age=30"})

    assert [item.max_age.seconds for item in cache.lookups] == [30, 30]
    assert cache.lookup_batches == [2]


async def test_the_size_that_a_policy_allows_is_that_of_one(
    embed, gateway: Gateway, provider: FakeProvider
):
    gateway.snapshot = snapshot(model("m", "a", cache=CachePolicy(maximum_bytes=150)))
    provider.at("a", vectors(1, 2))

    assert len(said(await embed(["one", "two"]))) > 150
    assert word(await embed(["two", "one"])) == "hit"


async def test_vectors_of_a_fallback_do_not_mix_with_those_of_the_model(
    embed, gateway: Gateway, provider: FakeProvider
):
    gateway.snapshot = snapshot(model("m", "b", cache=POLICY, fallbacks=("n",)), model("n", "a"))
    provider.at("b", vectors(1), failing("overloaded"))
    provider.at("a", vectors(8, 9))
    await embed("one")

    both = await embed(["one", "two"])
    again = await embed("one")

    assert numbers(both) == [8, 9]
    assert (word(again), numbers(again)) == ("hit", [1])


async def test_where_targets_are_different_models_whole_requests_are_kept(
    embed, gateway: Gateway, provider: FakeProvider
):
    targets = (Target("a", "small"), Target("b", "large"))
    gateway.snapshot = snapshot(model("m", targets=targets, cache=POLICY))
    provider.at("a", vectors(1), vectors(1, 2))
    await embed("one")

    both, again = await embed(["one", "two"]), await embed(["one", "two"])

    assert inputs(provider.requests[1]) == ["one", "two"]
    assert [word(both), word(again)] == ["miss", "hit"]


# ----------------------------------------------------------------- the books


async def test_records_and_limits_know_what_was_asked_and_what_was_saved(
    embed, gateway: Gateway, auth: FakeAuth, provider: FakeProvider, quota: FakeQuota
):
    gateway.snapshot = snapshot(model("m", targets=(at("a"),), cache=POLICY))
    auth.found["mg-alice"].organization_id = "acme"
    subject = auth.found["mg-alice"].subjects.add(kind=limits.SUBJECT_KIND_KEY, id="k1")
    subject.limits.add(
        kind=limits.LIMIT_KIND_TOKENS, amount=100_000, unit=limits.WINDOW_UNIT_MINUTE
    )
    provider.at("a", vectors(1, 2), vectors(3))
    await embed(["one", "two"])

    await embed(["one", "three"])
    await until(lambda: len(quota.records) == 2)

    part = next(record for record in quota.records if record.HasField("saved"))
    assert part.cache == usage_record_pb2.CACHE_OUTCOME_MISS
    assert [charge.usage.input_tokens for charge in part.charges] == [2]
    assert part.saved == usage_record_pb2.Charge(
        provider="a",
        served_model="up-1",
        usage=usage_pb2.Usage(input_tokens=2),
        cost_nanos=2 * 1_000,
    )
    assert quota.spent["key/k1", "tokens/minute"] == 6


async def test_a_request_that_fails_has_saved_nothing(
    embed, provider: FakeProvider, quota: FakeQuota
):
    provider.at("a", vectors(1), failing("invalid_request"))
    await embed("one")

    failed = await embed(["one", "two"])
    await until(lambda: len(quota.records) == 2)

    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert not any(record.HasField("saved") for record in quota.records)


async def test_where_upstreams_report_nothing_nothing_is_told(embed, provider: FakeProvider):
    provider.at("a", vectors(1, reported=False), vectors(2))
    await embed("one")

    mixed = await embed(["one", "two"])

    assert numbers(mixed) == [1, 2]
    assert "usage" not in json.loads(said(mixed))


# ----------------------------------------------------------------- when something is wrong


async def test_an_answer_that_does_not_fit_passes_and_is_not_kept(
    embed, provider: FakeProvider, cache: FakeCache
):
    provider.at("a", vectors(1))

    first, second = await embed(["one", "two"]), await embed(["one", "two"])

    assert [word(first), word(second)] == ["miss", "miss"]
    assert numbers(first) == [1]
    assert cache.stores == []


async def test_a_part_that_does_not_fit_is_the_upstreams_failure(embed, provider: FakeProvider):
    provider.at("a", vectors(1), vectors(2, 3))
    await embed("one")

    mixed = await embed(["one", "two"])

    assert mixed.code is not grpc.StatusCode.OK
    assert "do not fit the inputs" in mixed.message


async def test_an_entry_that_cannot_be_read_is_asked_again(
    embed, provider: FakeProvider, cache: FakeCache
):
    provider.at("a", vectors(1), vectors(5))
    await embed("one")
    await until(lambda: cache.entries)
    for entry in cache.entries.values():
        entry.body = b"{}"

    again = await embed("one")
    while numbers(again) == [1]:  # on its way until the cache's answer is here
        again = await embed("one")

    assert (word(again), numbers(again)) == ("miss", [5])


async def test_a_cache_that_is_away_is_a_miss_for_all(
    embed, provider: FakeProvider, cache: FakeCache
):
    cache.failure = ServiceUnavailableError("away")
    provider.at("a", vectors(1, 2))

    # Others each time: what is on its way to a cache is found there before it has failed.
    endings = [await embed([f"one {number}", f"two {number}"]) for number in range(5)]

    assert {word(ending) for ending in endings} == {"miss"}
    assert {tuple(numbers(ending)) for ending in endings} == {(1, 2)}


async def test_equal_lists_at_the_same_time_go_upstream_once(embed, provider: FakeProvider):
    provider.at("a", vectors(1), vectors(2))
    await embed("one")

    endings = await asyncio.gather(*[embed(["one", "two"]) for _ in range(4)])

    assert sorted(word(ending) for ending in endings) == ["hit"] * 3 + ["miss"]
    assert {tuple(numbers(ending)) for ending in endings} == {(1, 2)}
    assert {tokens(ending) for ending in endings} == {4}
    assert len(provider.requests) == 2
