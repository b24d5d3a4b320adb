"""A principal cache on the bench: under clocks that the test moves, with a fake auth behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from routing.fakes import KEY, Clock, FakeAuth, arrival

from meshgate.routing.peers.auth import Bounds, PrincipalCache


class Bench:
    """A cache under a clock that the test moves, with auth behind it."""

    def __init__(self, auth: FakeAuth, bounds: Bounds | None = None) -> None:
        self.auth = auth
        self.clock = Clock()
        self.today = Clock()
        self.stale_for = 30.0
        self.cache = PrincipalCache(
            auth.channel(), lambda: self.stale_for, self.clock, self.today, bounds
        )

    async def ask(self, credential: str = KEY, address: str = "192.0.2.1") -> str:
        principal = await self.cache.authenticate(arrival(credential, address))
        return principal.principal_id

    async def pass_time(self, seconds: float) -> None:
        """Let time pass with heartbeats as they come."""
        while seconds > 0:
            step = min(0.25, seconds)
            self.clock.time += step
            seconds -= step
            await self.auth.beat()

    @property
    def asked(self) -> int:
        return sum(len(batch.items) for batch in self.auth.batches)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator["Bench"]:
        """With a watch that has had its first heartbeat."""
        watching = asyncio.create_task(self.cache.watch())
        await self.auth.watched()
        await self.auth.beat()
        try:
            yield self
        finally:
            watching.cancel()
            await asyncio.wait([watching])
