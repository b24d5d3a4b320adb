"""What all tests share: the event loop that the product runs on, and servers to run against."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop
from hypothesis import settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["redis_servers", "redis_cluster"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}
