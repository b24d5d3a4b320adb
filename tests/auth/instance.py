"""One process of auth on a database, whose polls the test makes."""

from contextlib import asynccontextmanager

from auth.configuration import ChangingSource, Secrets
from auth.opened_records import PEPPERS

from meshgate.auth.chain import PrincipalChain
from meshgate.auth.changes import PrincipalChanges
from meshgate.auth.configured_keys import ConfiguredKeys
from meshgate.auth.feed import ChangeFeed
from meshgate.auth.issued_keys import IssuedKeys
from meshgate.auth.principals import Presented
from meshgate.auth.sql.opening import opened
from meshgate.config.snapshot import Snapshot


class Instance:
    """The parts of the service that have to do with the database."""

    def __init__(self, database, clock, snapshot) -> None:
        self.directory = database.directory
        self.lookup = database.lookup
        self.time = 0.0
        self.changes = PrincipalChanges()
        self.source = ChangingSource(snapshot)
        self.configured = ConfiguredKeys(
            snapshot, Secrets(), self.changes, scope_source=database.lookup, now=clock
        )
        self.feed = ChangeFeed(database.reader, now=lambda: self.time)
        self.issued = IssuedKeys(
            database.lookup, PEPPERS, self.feed.sees, lambda: self.configured.limits, clock
        )
        self.chain = PrincipalChain(self.configured, self.issued, self.changes)

    async def poll(self) -> None:
        await self.feed.poll(self.chain.apply)

    async def find(self, credential, client_address=""):
        [found] = await self.chain.find([Presented(credential, client_address)])
        return found


@asynccontextmanager
async def running_instance(database_url, clock, snapshot=None):
    async with opened(database_url, PEPPERS, clock) as database:
        instance = Instance(database, clock, snapshot or Snapshot("empty"))
        await instance.poll()
        yield instance
