"""The cache service as a process hosts it."""

import pytest
from cache.test_servicer import look, looking, store, storing
from redis_servers import RedisServer

from meshgate.cache.assembly import assemble
from meshgate.cache.settings import Settings
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.peers import Peers
from meshgate.v1.cache_service_pb2_grpc import CacheServiceStub

IDENTITY = MeshIdentity("the token of the mesh")


def assembled(**variables: str):
    env = Environment(variables)
    return assemble(env, Peers(env, IDENTITY))


async def test_it_keeps_answers_in_the_server_that_it_is_told(valkey: RedisServer):
    slow = {"CACHE_LOOKUP_TIMEOUT": "20s", "CACHE_STORE_TIMEOUT": "20s"}
    async with assembled(CACHE_REDIS_URL=valkey.url, **slow) as service:
        [implementation] = service.implementations
        methods = intercepted(implementation, IDENTITY)
        stub = CacheServiceStub(InProcessChannel(methods, IDENTITY.metadata()))
        await store(stub, storing())

        [found] = await look(stub, looking())

    assert implementation.internal
    assert found.WhichOneof("outcome") == "hit"


async def test_it_starts_whether_or_not_its_store_answers(valkey: RedisServer):
    valkey.kill()

    async with assembled(CACHE_REDIS_URL=valkey.url) as service:
        assert service.name == "cache"


@pytest.mark.parametrize("url", ["redis+cluster://:s3cret@one:1", "s3cret", "redis://:s3cret@h:x"])
async def test_an_address_that_cannot_be_understood_is_not_repeated(url: str):
    with pytest.raises(SettingError, match="CACHE_REDIS_URL") as raised:
        async with assembled(CACHE_REDIS_URL=url):
            pass

    assert "s3cret" not in str(raised.value)


async def test_an_address_must_be_given():
    with pytest.raises(SettingError, match="CACHE_REDIS_URL is not set"):
        async with assembled():
            pass


def test_settings_are_read_and_do_not_show_the_password():
    settings = Settings.read(
        Environment(
            {
                "CACHE_REDIS_URL": "redis://:s3cret@h:1",
                "CACHE_MAXIMUM_ENTRY": "5",
                "CACHE_LOOKUP_TIMEOUT": "7ms",
                "CACHE_STORE_TIMEOUT": "8ms",
            }
        )
    )

    assert settings == Settings("redis://:s3cret@h:1", 5, 0.007, 0.008)
    assert "s3cret" not in repr(settings)
