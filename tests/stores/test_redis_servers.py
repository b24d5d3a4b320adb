"""The servers that tests run against do what the tests of the product take for granted."""

import asyncio

import pytest
import redis.asyncio as redis
from redis_cluster import RedisCluster
from redis_servers import RedisServer

BOUND_SECONDS = 20
SLOT = 5061  # of the key "bar"


@pytest.fixture(params=["valkey", "real_redis"])
def server(request) -> RedisServer:
    return request.getfixturevalue(request.param)


async def test_each_answers(any_redis):
    async with any_redis.client() as client:
        assert await client.ping()


@pytest.mark.parametrize("time", ["first", "second"])
async def test_each_is_empty_when_a_test_begins(any_redis, time):
    async with any_redis.client() as client:
        assert await client.get("left-behind") is None

        await client.set("left-behind", time)


def test_the_one_is_valkey_and_the_other_is_redis(valkey, real_redis):
    with valkey.control() as ours, real_redis.control() as theirs:
        assert ours.info("server")["server_name"] == "valkey"
        assert "server_name" not in theirs.info("server")


async def test_what_was_synced_survives_a_kill(server):
    before = server.pid
    async with server.client() as client:
        await client.set("kept", "yes")
        if server.has_waitaof:
            assert await client.waitaof(1, 0, BOUND_SECONDS * 1000) == [1, 0]

    server.kill()
    assert not server.is_alive
    server.restart()

    assert server.pid != before
    async with server.client(decode_responses=True) as client:
        assert await client.get("kept") == "yes"


async def test_one_that_is_frozen_does_not_answer_until_it_thaws(server):
    async with server.client(socket_timeout=0.1, retry=None) as client:
        with server.frozen(), pytest.raises(redis.TimeoutError):
            await client.ping()

    async with server.client() as client:
        assert await client.ping()


async def test_one_that_is_full_refuses_to_write_and_loses_nothing(any_redis):
    async with any_redis.client(decode_responses=True) as client:
        await client.set("kept", "yes")

        with any_redis.full():
            with pytest.raises(redis.OutOfMemoryError):
                await client.set("more", "yes")
            assert await client.get("kept") == "yes"

        assert await client.set("more", "yes")


def test_one_that_a_test_left_broken_is_mended(server):
    server.kill()

    server.clean()

    assert server.answers()


def test_who_starts_one_in_a_thread_that_will_end_is_told(valkey):
    valkey.kill()

    with pytest.raises(AssertionError, match="start it in the test itself"):
        asyncio.run(asyncio.to_thread(valkey.restart))


async def test_a_cluster_holds_every_slot(redis_cluster: RedisCluster):
    async with redis_cluster.client() as client:
        for number in range(64):
            await client.set(f"{{q{number:02}}}", number)

    assert len({redis_cluster.primary(slot).pid for slot in (0, 8_000, 16_383)}) == 3


async def test_a_cluster_survives_the_loss_of_a_primary(redis_cluster: RedisCluster):
    async with redis_cluster.client(decode_responses=True) as client:
        await client.set("bar", "before")
        assert await client.wait(
            1, BOUND_SECONDS * 1000, target_nodes=client.get_node_from_key("bar")
        )

        dead = redis_cluster.kill_primary(SLOT)
        heir = await asyncio.to_thread(redis_cluster.await_failover, SLOT)

        assert heir is not dead
        assert await client.get("bar") == "before"
        assert await client.set("bar", "after")


async def test_a_node_that_comes_back_follows_its_heir(redis_cluster: RedisCluster):
    dead = redis_cluster.kill_primary(SLOT)
    heir = redis_cluster.await_failover(SLOT)

    redis_cluster.restart(dead)
    redis_cluster.await_whole()

    assert redis_cluster.primary(SLOT) is heir
    with dead.control() as client:
        assert client.info("replication")["master_port"] == heir.port


async def test_a_cluster_that_a_test_left_broken_is_mended(redis_cluster: RedisCluster):
    redis_cluster.kill_primary(0)

    redis_cluster.clean()

    assert all(node.is_alive for node in redis_cluster.nodes)
