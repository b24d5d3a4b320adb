"""What all tests share: the event loop that the product runs on, and servers to run against."""

import asyncio
import os
from collections.abc import Callable, Mapping

import uvloop
from hypothesis import settings

# How long an example takes says more of the machine than of the code: there is no deadline.
settings.register_profile("brisk", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "brisk"))

pytest_plugins = ["redis_servers", "redis_cluster"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}
