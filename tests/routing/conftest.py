"""What the tests of routing share."""

from collections.abc import AsyncIterator

import pytest
from routing.fakes import FakeAuth, FakeProvider
from routing.principal_bench import Bench

from meshgate.routing.peers.auth import Bounds


@pytest.fixture
def auth() -> FakeAuth:
    return FakeAuth()


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
async def bench(auth: FakeAuth) -> AsyncIterator[Bench]:
    """A principal cache whose watch has had its first heartbeat."""
    async with Bench(auth).watched() as bench:
        yield bench


@pytest.fixture
async def small_bench(auth: FakeAuth) -> AsyncIterator[Bench]:
    """One that keeps two principals and ten refusals."""
    async with Bench(auth, Bounds(principals=2, refusals=10)).watched() as bench:
        yield bench
