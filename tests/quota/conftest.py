"""A world on every store: the model itself, and each Redis."""

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from quota.worlds import World, model_world, redis_world
from redis_servers import RedisServer


@pytest.fixture(params=["model", "valkey", "real_redis", "redis_cluster"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "model":
        yield model_world()
        return
    server = request.getfixturevalue(request.param)
    with contextlib.nullcontext() if server.is_cluster else writing_at_once(server):
        async with redis_world(server) as world:
            yield world


@contextlib.contextmanager
def writing_at_once(server: RedisServer) -> Iterator[None]:
    """What is written is on disk at once: nobody waits for the next second."""
    with server.control() as client:
        client.config_set("appendfsync", "always")
        yield
        client.config_set("appendfsync", "everysec")


@pytest.fixture
def quick_disk(valkey: RedisServer) -> Iterator[None]:
    with writing_at_once(valkey):
        yield
