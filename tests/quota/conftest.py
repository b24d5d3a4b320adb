"""A world on every store: the model itself, and each Redis."""

from collections.abc import AsyncIterator

import pytest
from quota.worlds import World, model_world, redis_world


@pytest.fixture(params=["model", "valkey", "real_redis", "redis_cluster"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "model":
        yield model_world()
        return
    async with redis_world(request.getfixturevalue(request.param)) as world:
        yield world
