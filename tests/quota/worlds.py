"""Every store of grants, under a clock that the test sets."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from quota.model import ModelStore, Recorder
from redis_cluster import RedisCluster
from redis_servers import BOUND_SECONDS, RedisServer

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import Enforcement, Limit, LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.quota.grants import (
    Booking,
    Extension,
    GrantOutcome,
    GrantSettlement,
    GrantStore,
    Hold,
    Lease,
    Release,
    Settlement,
)
from meshgate.quota.redis_address import RedisAddress
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping, RedisGrantStore
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.environment import Environment
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.peers import Peers

BEGINNING = 1_790_000_005_000
"""A moment that is the beginning of no minute."""
ONE = Amounts(requests=1)


def no_peers() -> Peers:
    """Those of a service that runs alone."""
    return Peers(Environment({}), MeshIdentity(None))


@dataclass
class ManualClock:
    """Milliseconds that pass when the test says so."""

    time: int = BEGINNING

    def __call__(self) -> int:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += round(seconds * 1_000)


def soon() -> Deadline:
    return Deadline.after(BOUND_SECONDS)


@dataclass
class World:
    """A store, and short ways to ask it one thing at a time."""

    store: GrantStore
    clock: ManualClock
    recorder: Recorder = field(default_factory=Recorder)
    partition: str = "acme"

    async def hold(
        self, grant_id: str, subjects: Sequence[Subject], amounts: Amounts = ONE, ttl: float = 30.0
    ) -> GrantOutcome:
        item = Hold(grant_id, self.partition, tuple(subjects), amounts, ttl)
        return (await self.store.hold([item], soon()))[0]

    async def lease(
        self, grant_id: str, subjects: Sequence[Subject], unit: Amounts, count: int, **more
    ) -> GrantOutcome:
        least, ttl = more.get("least", Amounts()), more.get("ttl", 30.0)
        item = Lease(grant_id, self.partition, tuple(subjects), least, unit, count, ttl)
        return (await self.store.lease([item], soon()))[0]

    async def extend(
        self, grant_id: str, amounts: Amounts | None = None, ttl: float = 30.0
    ) -> GrantOutcome:
        item = Extension(grant_id, self.partition, amounts or Amounts(), ttl)
        return (await self.store.extend([item], soon()))[0]

    async def release(self, grant_id: str, used: Amounts | None = None) -> None:
        await self.store.release([Release(grant_id, self.partition, used or Amounts())], soon())

    async def settle(
        self,
        grant_id: str,
        subjects: Sequence[Subject],
        spent: Amounts,
        held: Amounts = ONE,
        *,
        sequence: int = 0,
        granted_at: int | None = None,
        records: bytes = b"",
    ) -> Booking:
        settlement = Settlement(sequence, held, spent, records)
        item = GrantSettlement(grant_id, self.partition, tuple(subjects), granted_at, (settlement,))
        return (await self.store.settle([item], soon()))[0][0]

    async def sweep(self) -> int:
        return await self.store.sweep(soon())

    async def fits(self, subjects: Sequence[Subject], amounts: Amounts) -> bool:
        """Whether so much is left; leaves everything as it was."""
        self._probes = getattr(self, "_probes", 0) + 1
        name = f"probe-{self._probes}"
        outcome = await self.hold(name, subjects, amounts)
        await self.release(name)
        return hasattr(outcome, "grant_time")


def key(name: str, *limits: Limit) -> Subject:
    return Subject(SubjectKind.KEY, name, limits)


def per(
    unit: WindowUnit | None, amount: int, kind: LimitKind = LimitKind.REQUESTS, **more
) -> Limit:
    return Limit.of(kind, amount, unit, **more)


def places(amount: int, enforcement: Enforcement = Enforcement.NORMAL) -> Limit:
    return Limit.of(LimitKind.CONCURRENCY, amount, enforcement=enforcement)


@asynccontextmanager
async def redis_world(
    server: RedisServer | RedisCluster, keeping: Keeping | None = None
) -> AsyncIterator[World]:
    """A world whose scripts are told the time."""
    clock, recorder = ManualClock(), Recorder()
    nodes = RedisNodes(RedisAddress.parse(server.url))
    try:
        yield World(RedisGrantStore(nodes, keeping or Keeping(), recorder, clock), clock, recorder)
    finally:
        await nodes.close()


def model_world() -> World:
    clock, recorder = ManualClock(), Recorder()
    return World(ModelStore(clock, recorder), clock, recorder)
