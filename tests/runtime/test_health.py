"""grpc.health.v1.Health of a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from grpc_health.v1 import health_pb2 as pb

from meshgate.runtime.health import Health

SERVING = pb.HealthCheckResponse.SERVING
NOT_SERVING = pb.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def health() -> Health:
    return Health()


async def checked(health: Health) -> Any:
    return (await health.Check(pb.HealthCheckRequest(), None)).status


def watched(health: Health) -> AsyncIterator[pb.HealthCheckResponse]:
    return health.Watch(pb.HealthCheckRequest(), None)


async def test_a_process_serves_between_serve_and_drain(health: Health) -> None:
    assert await checked(health) == NOT_SERVING

    health.serve()
    assert await checked(health) == SERVING

    health.drain()
    assert await checked(health) == NOT_SERVING


async def test_a_list_holds_the_process(health: Health) -> None:
    health.serve()

    statuses = (await health.List(pb.HealthListRequest(), None)).statuses

    assert {name: status.status for name, status in statuses.items()} == {"": SERVING}


async def test_a_watch_tells_the_status_at_once_and_each_change(health: Health) -> None:
    async with aclosing(watched(health)) as watch:
        assert (await anext(watch)).status == NOT_SERVING

        health.serve()
        assert (await anext(watch)).status == SERVING

        health.drain()
        assert (await anext(watch)).status == NOT_SERVING


async def test_every_watch_is_told(health: Health) -> None:
    watches = [watched(health) for _ in range(3)]
    for watch in watches:
        await anext(watch)

    waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await asyncio.sleep(0)
    health.serve()

    assert [told.status for told in await asyncio.gather(*waiting)] == [SERVING] * 3


async def test_a_change_between_two_reads_is_not_missed(health: Health) -> None:
    watch = watched(health)
    await anext(watch)

    health.serve()
    health.drain()
    health.serve()

    assert (await anext(watch)).status == SERVING


async def test_a_watch_ends_when_the_process_closes(health: Health) -> None:
    health.serve()
    watch = watched(health)
    await anext(watch)

    health.close()

    assert [told.status async for told in watch] == [NOT_SERVING]
    assert [told.status async for told in watched(health)] == [NOT_SERVING]
