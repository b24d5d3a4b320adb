"""The gateways that the end-to-end tests talk to, and what is behind them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from collector import Collector, collecting
from gateway_process import Gateway, running_upstream
from mesh.shared_gateways import WAYS, SharedGateways
from upstream import RemoteUpstream

_HERE = Path(__file__).parent
_SHARED = pytest.StashKey[SharedGateways]()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the shared gateways with the last test of this folder: idle, they slow down all others."""
    gateways = item.config.stash.get(_SHARED, None)
    if gateways is not None and (nextitem is None or _HERE not in nextitem.path.parents):
        gateways.end()


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
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
    upstream_origin: str,
    collector: Collector,
) -> Iterator[SharedGateways]:
    with ExitStack() as stack:
        gateways = SharedGateways(stack, tmp_path_factory.mktemp, upstream_origin, collector)
        pytestconfig.stash[_SHARED] = gateways
        yield gateways


@pytest.fixture(scope="module", params=WAYS)
def gateway(request: pytest.FixtureRequest, shared_gateways: SharedGateways) -> Gateway:
    """A gateway that is shared; a module may ask for some ways alone, see `MESH_AND_COMPACT`."""
    return shared_gateways.get(request.param)


@pytest.fixture(autouse=True)
async def upstream(upstream_origin: str) -> AsyncIterator[RemoteUpstream]:
    """The upstream behind the gateways; each test begins with a clean slate."""
    async with RemoteUpstream(upstream_origin) as upstream:
        await upstream.reset()
        yield upstream
