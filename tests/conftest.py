"""What all tests share: the event loop that the product runs on, and servers to run against."""

import asyncio
import os
from collections.abc import Callable, Mapping

import uvloop
from hypothesis import HealthCheck, settings

# How long an example takes, or to think of one, says more of the machine than of the code.
_NO_CLOCK = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("brisk", max_examples=25, **_NO_CLOCK)
settings.register_profile("thorough", max_examples=1000, **_NO_CLOCK)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "brisk"))

pytest_plugins = ["redis_servers", "redis_cluster"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}
