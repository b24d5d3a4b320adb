"""What is not kept, and for whom what is kept is not."""

from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.cached import (
    POLICY,
    answered,
    asking,
    completion,
    said,
    word,
)
from routing.fake_cache import FakeCache
from routing.fakes import (
    FakeAuth,
    FakeProvider,
    failing,
    key_of,
    model,
    snapshot,
)
from routing.gateway import Gateway, credentials, ending_of

from meshgate.config.snapshot import CachePolicy


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
