"""What all tests share: the event loop that the product runs on, and servers to run against."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop

pytest_plugins = ["redis_servers", "redis_cluster"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}
