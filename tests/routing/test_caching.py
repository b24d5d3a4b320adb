"""Requests for models with a cache, as clients meet them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fake_cache import FakeCache
from routing.fake_quota import FakeQuota
from routing.fakes import (
    HANG,
    FakeAuth,
    FakeProvider,
    answer,
    chunk,
    done,
    failing,
    head,
    key_of,
    model,
    snapshot,
    until,
)
from routing.gateway import Gateway, credentials, ending_of, serving
from routing.metering_values import at

from meshgate.config.snapshot import CachePolicy
from meshgate.dialects.openai_chat import grammar
from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.v1 import chat_pb2, gateway_service_pb2, usage_pb2, usage_record_pb2
from meshgate.v1 import limit_pb2 as limits

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
POLICY = CachePolicy(ttl_seconds=60.0)


def completion(text: str = "hello", reason: str = "stop", **message: Any) -> bytes:
    said = {"role": "assistant", "content": text} | message
    choice = {"index": 0, "message": said, "finish_reason": reason, "logprobs": None}
    return json.dumps(
        {"id": "c-1", "object": "chat.completion", "created": 9, "model": "up"}
        | {"choices": [choice], "usage": USAGE}
    ).encode()


def answered(body: bytes | None = None, **fields: Any) -> Any:
    """What provider says: the body, who answered, and what it consumed."""
    response = answer(completion(**fields) if body is None else body)
    response.answer.served_model = "up-1"
    response.answer.usage.CopyFrom(usage_pb2.Usage(input_tokens=5, output_tokens=7))
    return response


def event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    told = {"id": "c-2", "object": "chat.completion.chunk", "created": 9, "model": "up"}
    return b"data: " + json.dumps(told | {"choices": [choice]}).encode() + b"\n\n"


def streamed(*texts: str, reason: str = "stop") -> list[Any]:
    ended = done()
    ended.done.served_model = "up-1"
    ended.done.usage.CopyFrom(usage_pb2.Usage(input_tokens=5, output_tokens=7))
    return [
        head(),
        chunk(event({"role": "assistant", "content": ""})),
        *[chunk(event({"content": text})) for text in texts],
        chunk(event({}, reason) + b"data: [DONE]\n\n"),
        ended,
    ]


def asking(text: str = "hi", **members: Any) -> HttpBody:
    asked = {"model": "m", "messages": [{"role": "user", "content": text}]} | members
    return HttpBody(data=json.dumps(asked).encode())


@pytest.fixture
def cache() -> FakeCache:
    return FakeCache()


@pytest.fixture
def quota() -> FakeQuota:
    return FakeQuota()


@pytest.fixture(params=["compact", "mesh"])
async def gateway(
    request: pytest.FixtureRequest,
    auth: FakeAuth,
    provider: FakeProvider,
    quota: FakeQuota,
    cache: FakeCache,
) -> AsyncIterator[Gateway]:
    provider.at("a", answered())
    models = snapshot(model("m", "a", cache=POLICY), model("plain", "a"))
    async with serving(request.param, models, auth, provider, quota=quota, cache=cache) as gateway:
        yield gateway


@pytest.fixture
def ask(gateway: Gateway):
    async def ask(text: str = "hi", headers: dict[str, str] | None = None, **members: Any) -> Any:
        call = gateway.openai.ChatCompletions(
            asking(text, **members), **credentials(**headers or {})
        )
        return await ending_of(call)

    return ask


def said(ending: Any) -> bytes:
    assert ending.code is grpc.StatusCode.OK, ending
    return b"".join(message.data for message in ending.messages)


def word(ending: Any) -> str | None:
    return ending.headers.get("x-meshgate-cache")


# ----------------------------------------------------------------- hits


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


async def test_embeddings_are_kept_too(gateway: Gateway, provider: FakeProvider):
    body = b'{"data": [{"index": 0, "embedding": [0.5]}], "model": "up"}'
    provider.at("a", answered(body))
    asked = HttpBody(data=b'{"model": "m", "input": "hi"}')

    first = await ending_of(gateway.openai.Embeddings(asked, **credentials()))
    second = await ending_of(gateway.openai.Embeddings(asked, **credentials()))

    assert [word(first), word(second)] == ["miss", "hit"]
    assert said(second) == body


# ----------------------------------------------------------------- streams


async def test_a_plain_answer_is_told_again_as_a_legal_stream(ask, provider: FakeProvider):
    await ask()

    again = await ask(stream=True, stream_options={"include_usage": True})

    assert word(again) == "hit"
    grammar.check(said(again))
    assert b'"content":"hello"' in said(again)
    assert b'"prompt_tokens":5' in said(again)
    assert len(provider.requests) == 1


async def test_a_streamed_answer_is_told_again_streamed_and_plain(ask, provider: FakeProvider):
    provider.at("a", streamed("he", "llo"))

    first = await ask(stream=True)
    again, plain = await ask(stream=True), await ask()

    assert [word(each) for each in (first, again, plain)] == ["miss", "hit", "hit"]
    grammar.check(said(again))
    assert b'"usage"' not in said(again)
    told = json.loads(said(plain))
    assert told["choices"][0]["message"]["content"] == "hello"
    assert told["choices"][0]["finish_reason"] == "stop"
    assert told["usage"]["completion_tokens"] == 7
    assert len(provider.requests) == 1


async def test_a_client_that_leaves_a_stream_has_nothing_kept(
    gateway: Gateway, ask, provider: FakeProvider, cache: FakeCache
):
    provider.at("a", [*streamed("he")[:-2], HANG])
    call = gateway.openai.ChatCompletions(asking(stream=True), **credentials())
    await anext(aiter(call))

    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call.code()

    await until(provider.cancelled.is_set)
    assert cache.stores == []
    provider.at("a", answered())
    assert word(await ask()) == "miss"


async def test_a_stream_that_an_upstream_cuts_is_not_kept(
    ask, provider: FakeProvider, cache: FakeCache
):
    provider.at("a", streamed("he")[:-1])

    await ask(stream=True)

    provider.at("a", answered())
    assert word(await ask()) == "miss"
    assert all(b"hello" in item.entry.body for item in cache.stores)


async def test_streams_that_say_less_than_plain_answers_are_passed_by(
    ask, provider: FakeProvider, cache: FakeCache
):
    await ask(n=2)
    provider.at("a", streamed("x"))

    first, second = await ask(n=2, stream=True), await ask(n=2, stream=True)
    plain = await ask(n=2)

    assert [word(each) for each in (first, second, plain)] == ["bypass", "bypass", "hit"]


async def test_typed_clients_share_their_answers_streamed_and_plain(
    gateway: Gateway, provider: FakeProvider
):
    reply = gateway_service_pb2.ChatResponse(
        id="c",
        served_model="up",
        message={"role": "ROLE_ASSISTANT", "parts": [{"text": "hello"}]},
        finish_reason="FINISH_REASON_STOP",
    )
    provider.at("a", answered(reply.SerializeToString()))
    request = gateway_service_pb2.ChatRequest(
        model="m", messages=[{"role": "ROLE_USER", "parts": [{"text": "hi"}]}]
    )
    plain = await ending_of(gateway.typed.Chat(request, **credentials()))

    again = await ending_of(
        gateway.typed.StreamChat(
            gateway_service_pb2.StreamChatRequest(chat=request), **credentials()
        )
    )

    assert plain.messages == [reply]
    assert word(again) == "hit"
    events = [message.event for message in again.messages]
    assert [each.WhichOneof("kind") for each in events] == ["started", "text_delta", "finished"]
    assert [each.sequence_number for each in events] == [0, 1, 2]
    assert len(provider.requests) == 1


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


# ----------------------------------------------------------------- what is not kept


@pytest.mark.parametrize(
    "body",
    [
        completion(reason="content_filter"),
        completion(refusal="no"),
        completion(reason="eos"),
        b'{"choices": []}',
        b"{}",
    ],
)
async def test_an_answer_that_came_to_no_good_end_is_not_kept(
    ask, provider: FakeProvider, cache: FakeCache, body: bytes
):
    provider.at("a", answered(body))

    first, second = await ask(), await ask()

    assert [word(first), word(second)] == ["miss", "miss"]
    assert said(first) == said(second) == body
    assert cache.stores == []


async def test_an_error_is_not_kept(ask, provider: FakeProvider, cache: FakeCache):
    provider.at("a", failing("invalid_request"))

    first, second = await ask(), await ask()

    assert first.code is second.code is grpc.StatusCode.INVALID_ARGUMENT
    assert len(provider.requests) == 2
    assert cache.stores == []


async def test_an_answer_over_the_policys_size_is_not_kept(ask, gateway: Gateway, cache: FakeCache):
    small = CachePolicy(maximum_bytes=len(completion()) - 1)
    gateway.snapshot = snapshot(model("m", "a", cache=small))

    await ask()

    assert word(await ask()) == "miss"


async def test_the_answer_of_a_fallback_does_not_stand_in_for_the_model(
    ask, gateway: Gateway, provider: FakeProvider, cache: FakeCache
):
    gateway.snapshot = snapshot(model("m", "b", cache=POLICY, fallbacks=("n",)), model("n", "a"))
    provider.at("b", failing("overloaded"))

    first, second = await ask(), await ask()

    assert first.headers["x-meshgate-model"] == "n"
    assert [word(first), word(second)] == ["miss", "miss"]


async def test_a_body_that_can_be_read_in_two_ways_is_passed_by(
    gateway: Gateway, provider: FakeProvider, cache: FakeCache
):
    body = asking().data.replace(b'"role"', b'"x": 1, "x": 2, "role"')
    for _ in range(2):
        call = gateway.openai.ChatCompletions(HttpBody(data=body), **credentials())
        assert word(await ending_of(call)) == "bypass"

    assert len(provider.requests) == 2
    assert cache.lookups == cache.stores == []


# ----------------------------------------------------------------- whose answers


@pytest.mark.parametrize(
    ("scope", "shared"),
    [("organization", "hit"), ("team", "miss"), ("user", "miss"), ("key", "miss")],
)
async def test_answers_are_shared_as_far_as_the_policy_says(
    ask, gateway: Gateway, auth: FakeAuth, scope: Any, shared: str
):
    gateway.snapshot = snapshot(model("m", "a", cache=CachePolicy(scope=scope)))
    for name in ("ada", "bob"):
        auth.found[f"mg-{name}"] = key_of(name)
        for field in ("organization_id", "team_id", "user_id", "key_id"):
            setattr(auth.found[f"mg-{name}"], field, name)
        auth.found[f"mg-{name}"].organization_id = "acme"

    await ask_as(gateway, "mg-ada")

    assert word(await ask_as(gateway, "mg-ada")) == "hit"
    assert word(await ask_as(gateway, "mg-bob")) == shared


async def test_no_answer_goes_to_another_organization(gateway: Gateway, auth: FakeAuth):
    for name in ("acme", "globex"):
        auth.found[f"mg-{name}"] = key_of(name)
        auth.found[f"mg-{name}"].organization_id = name

    await ask_as(gateway, "mg-acme")

    assert word(await ask_as(gateway, "mg-globex")) == "miss"


async def ask_as(gateway: Gateway, key: str) -> Any:
    return await ending_of(gateway.openai.ChatCompletions(asking(), **credentials(key)))


# ----------------------------------------------------------------- the books


async def test_a_hit_is_one_request_without_tokens_and_its_record_says_what_it_saved(
    ask, gateway: Gateway, auth: FakeAuth, quota: FakeQuota
):
    gateway.snapshot = snapshot(model("m", targets=(at("a"),), cache=POLICY))
    auth.found["mg-alice"].organization_id = "acme"
    subject = auth.found["mg-alice"].subjects.add(kind=limits.SUBJECT_KIND_KEY, id="k1")
    for kind in (limits.LIMIT_KIND_REQUESTS, limits.LIMIT_KIND_TOKENS):
        subject.limits.add(kind=kind, amount=100_000, unit=limits.WINDOW_UNIT_MINUTE)

    await ask()
    await ask()
    await until(lambda: len(quota.records) == 2)

    miss, hit = sorted(quota.records, key=lambda record: record.cache, reverse=True)
    assert miss.cache == usage_record_pb2.CACHE_OUTCOME_MISS
    assert len(miss.charges) == 1
    assert hit.cache == usage_record_pb2.CACHE_OUTCOME_HIT
    assert hit.outcome == usage_record_pb2.REQUEST_OUTCOME_ANSWERED
    assert (hit.attempt_count, len(hit.charges)) == (0, 0)
    assert hit.saved == usage_record_pb2.Charge(
        provider="a",
        served_model="up-1",
        usage=usage_pb2.Usage(input_tokens=5, output_tokens=7),
        cost_nanos=5 * 1_000 + 7 * 2_000,
    )
    assert quota.spent["key/k1", "requests/minute"] == 2
    assert quota.spent["key/k1", "tokens/minute"] == 12


async def test_a_request_without_a_cache_says_nothing_of_one(ask, quota: FakeQuota):
    await ask(model="plain")

    await until(lambda: quota.records)
    [record] = quota.records
    assert record.cache == usage_record_pb2.CACHE_OUTCOME_UNSPECIFIED
    assert not record.HasField("saved")


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
