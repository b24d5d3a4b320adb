"""The gateways that the end-to-end tests talk to, and what is behind them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from collector import Collector, collecting
from gateway_process import Gateway, running_upstream
from mesh.shared_gateways import WAYS, SharedGateways
from upstream import RemoteUpstream


@pytest.fixture(scope="session")
def upstream_origin() -> Iterator[str]:
    with running_upstream() as origin:
        yield origin


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """What the shared gateways export: of every module, so look for a trace of your own."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def shared_gateways(
    tmp_path_factory: pytest.TempPathFactory, upstream_origin: str, collector: Collector
) -> Iterator[SharedGateways]:
    with ExitStack() as stack:
        yield SharedGateways(stack, tmp_path_factory.mktemp, upstream_origin, collector)


@pytest.fixture(scope="session", params=WAYS)
def gateway(request: pytest.FixtureRequest, shared_gateways: SharedGateways) -> Gateway:
    """A gateway that is shared; a module may ask for some ways alone, see `MESH_AND_COMPACT`."""
    return shared_gateways.get(request.param)


@pytest.fixture(autouse=True)
async def upstream(upstream_origin: str) -> AsyncIterator[RemoteUpstream]:
    """The upstream behind the gateways; each test begins with a clean slate."""
    async with RemoteUpstream(upstream_origin) as upstream:
        await upstream.reset()
        yield upstream
