"""A gateway whose model keeps its answers, in one process and in several."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from routing.cached import (
    POLICY,
    answered,
    asking,
)
from routing.fake_cache import FakeCache
from routing.fake_quota import FakeQuota
from routing.fakes import (
    FakeAuth,
    FakeProvider,
    model,
    snapshot,
)
from routing.gateway import Gateway, credentials, ending_of, serving


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
