"""The gateways that modules share: each way of running one, started when somebody first asks for it.

They are for tests that leave a gateway as they found it, whatever else runs there: names, prompts and
request ids are of one test alone. A test that kills services, changes what all see, or needs other
settings starts one of its own with `running_gateway`.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from collector import Collector
from gateway_process import Gateway, running_gateway
from mesh import media_gateway


@dataclass(frozen=True)
class Way:
    """A way of running a gateway.

    Attributes:
        is_traced: Whether it exports the traces that clients ask for, or knows no collector.
    """

    options: tuple[str, ...] = ()
    stack: str = "native"
    is_traced: bool = True


WAYS = {
    "mesh": Way(),
    "compact": Way(options=("--compact",)),
    "mesh-grpc": Way(stack="grpc", is_traced=False),
}
MESH_AND_COMPACT = pytest.mark.parametrize("gateway", ["mesh", "compact"], indirect=True)
"""For modules that need no more than the two shapes, or the traces of their gateways."""
_MODELS = f"""{media_gateway.MODELS}
  mistral-small: {{targets: [{{provider: mistral}}]}}
  deepseek-flash: {{targets: [{{provider: deepseek}}]}}
"""
# A busy machine may take long to find something: here that is no miss.
PATIENT = {"CACHE_LOOKUP_TIMEOUT": "5s", "ROUTING_CACHE_TIMEOUT": "5s"}


class SharedGateways:
    """Starts each gateway once; they end with the stack.

    Args:
        stack: Where what ends a gateway is kept.
        directory: Makes a directory by its name.
        upstream: The origin of the upstream of all.
        collector: Where traces go.
    """

    def __init__(
        self,
        stack: ExitStack,
        directory: Callable[[str], Path],
        upstream: str,
        collector: Collector,
    ) -> None:
        self._stack = stack
        self._directory = directory
        self._upstream = upstream
        self._collector = collector
        self._running: dict[str, Gateway] = {}

    def end(self) -> None:
        """End them all; who asks for one later gets another."""
        self._stack.close()
        self._running.clear()

    def get(self, name: str) -> Gateway:
        """The gateway that runs in one of WAYS."""
        if name not in self._running:
            self._running[name] = self._started(name)
        return self._running[name]

    def _started(self, name: str) -> Gateway:
        way = WAYS[name]
        return self._stack.enter_context(
            running_gateway(
                self._directory(name),
                self._upstream,
                *way.options,
                stack=way.stack,
                models=_MODELS,
                variables=PATIENT | (self._tracing() if way.is_traced else {}),
            )
        )

    def _tracing(self) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self._collector.endpoint,
            "OTEL_TRACES_SAMPLER_ARG": "0",  # only what clients want traced
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
