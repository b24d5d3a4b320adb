"""The gateways that the end-to-end tests talk to: each way of running one, started once."""

from collections.abc import AsyncIterator, Iterator

import pytest
from gateway_process import Gateway, running_gateway, running_upstream
from upstream import RemoteUpstream

WAYS = {
    "mesh": ([], "native"),
    "compact": (["--compact"], "native"),
    "mesh-grpc": ([], "grpc"),
}


@pytest.fixture(scope="session")
def upstream_origin() -> Iterator[str]:
    with running_upstream() as origin:
        yield origin


@pytest.fixture(scope="session", params=WAYS)
def gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream_origin: str,
) -> Iterator[Gateway]:
    options, stack = WAYS[request.param]
    directory = tmp_path_factory.mktemp(request.param)
    with running_gateway(directory, upstream_origin, *options, stack=stack) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
async def upstream(upstream_origin: str) -> AsyncIterator[RemoteUpstream]:
    """The upstream behind the gateways; each test begins with a clean slate."""
    async with RemoteUpstream(upstream_origin) as upstream:
        await upstream.reset()
        yield upstream
