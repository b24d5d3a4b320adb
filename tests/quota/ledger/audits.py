"""A store, a ledger, and those who compare them."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from quota.ledger.streams import stream_at
from quota.worlds import World, per, redis_world, soon

from meshgate.database.database import Database
from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.quota.grants import (
    Extension,
    Grant,
    GrantSettlement,
    Hold,
    Lease,
    Release,
    Settlement,
)
from meshgate.quota.ledger.books import LedgerBooks
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.counter_store import CounterStore
from meshgate.quota.ledger.keeper import Keeper
from meshgate.quota.ledger.noting import NotedCounters
from meshgate.quota.ledger.rebuilding import Rebuilding
from meshgate.quota.ledger.reconciliation import Comparison, Difference, Reconciliation
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.redis_address import RedisAddress
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping
from meshgate.v1 import usage_record_pb2 as pb
from meshgate.v1.usage_pb2 import Usage

MANY = 10**12
KEEPING = Keeping(usage_entries=10_000, for_ledger=True)
EVERYONE = Subject(
    SubjectKind.EVERYONE,
    "",
    (per(WindowUnit.DAY, MANY), per(WindowUnit.TOTAL, MANY, LimitKind.COST)),
)


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


@dataclass
class Audit:
    """All of it."""

    world: World
    keeper: Keeper
    store: CounterStore
    noted: NotedCounters
    books: LedgerBooks
    comparison: Comparison
    reconciliation: Reconciliation
    rebuilding: Rebuilding
    nodes: RedisNodes
    database: Database

    async def drain(self) -> None:
        while await self.keeper.keep_once():
            pass

    async def differences(self, **more) -> Sequence[Difference]:
        return (await self.reconciliation.reconcile(**more)).differences


@asynccontextmanager
async def audit_at(server, database, keeping: Keeping = KEEPING) -> AsyncIterator[Audit]:
    nodes = RedisNodes(RedisAddress.parse(server.url))
    async with redis_world(server, keeping) as world, stream_at(server) as stream:
        try:
            store = CounterStore(nodes, world.clock, 30.0)
            checked = CheckedDatabase(database)
            noted, books = NotedCounters(checked, store), LedgerBooks(checked)
            comparison = Comparison(store, books, 0.0, at_once)
            yield Audit(
                world,
                Keeper(stream, SqlLedger(database), at_once),
                store,
                noted,
                books,
                comparison,
                Reconciliation(noted, comparison, books),
                Rebuilding(noted, store, comparison),
                nodes,
                database,
            )
        finally:
            await nodes.close()


@dataclass(frozen=True)
class Caller:
    """Whose requests they are."""

    organization: str
    key: str
    subjects: tuple[Subject, ...]

    @property
    def is_in_team(self) -> bool:
        return any(subject.kind is SubjectKind.TEAM for subject in self.subjects)

    def record(self, hold_id: str, spent: Amounts, **more) -> bytes:
        usage = Usage(input_tokens=spent.input_tokens, output_tokens=spent.output_tokens)
        charge = pb.Charge(
            provider="openai", model="gpt-1", usage=usage, cost_nanos=spent.cost_nanos
        )
        values = {"organization_id": self.organization} | more
        record = pb.UsageRecord(
            hold_id=hold_id,
            team_id="red" if self.is_in_team else "",
            user_id="ann" if self.is_in_team else "",
            key_id=self.key,
            tags={"stage": "test", "cost": "a=b"},
            model="small",
            outcome=pb.REQUEST_OUTCOME_ANSWERED,
            charges=[charge] if spent != Amounts(requests=1) else [],
            **values,
        )
        return pb.UsageRecords(records=[record]).SerializeToString()


def caller(number: int) -> Caller:
    key, organization = f"k{number}", f"org-{number % 3}"
    of_key = (
        per(WindowUnit.DAY, MANY),
        per(WindowUnit.DAY, MANY, LimitKind.COST),
        per(WindowUnit.MINUTE, MANY),
        per(WindowUnit.MONTH, MANY, LimitKind.TOKENS, time_zone="Asia/Kolkata"),
    )
    others = (
        Subject(SubjectKind.USER, "ann", (per(WindowUnit.WEEK, MANY, LimitKind.TOKENS),)),
        Subject(SubjectKind.TEAM, "red", (per(WindowUnit.DAY, MANY, LimitKind.OUTPUT_TOKENS),)),
        Subject(
            SubjectKind.ORGANIZATION,
            organization,
            (per(WindowUnit.TOTAL, MANY, LimitKind.COST), per(WindowUnit.DAY, MANY)),
        ),
        Subject(SubjectKind.TAG, "cost=a=b", (per(WindowUnit.TOTAL, MANY),)),
    )
    subjects = (Subject(SubjectKind.KEY, key, of_key), *(others if number % 2 else others[2:]))
    return Caller(organization, key, subjects)


def with_more_limits(one: Caller) -> Caller:
    """The same, once somebody has given its key another limit."""
    key, *others = one.subjects
    added = per(WindowUnit.TOTAL, MANY, LimitKind.INPUT_TOKENS)
    limits = (*key.limits, added, per(WindowUnit.WEEK, MANY, LimitKind.COST))
    return Caller(one.organization, one.key, (Subject(key.kind, key.id, limits), *others))


@dataclass
class History:
    """Requests that go their ways, some of them astray; with limits of organizations and of all."""

    audit: Audit
    chance: random.Random
    callers: list[Caller] = field(default_factory=lambda: [caller(number) for number in range(5)])
    made: int = 0

    async def go(self, steps: int, longest_seconds: float = 20_000) -> None:
        for _ in range(steps):
            await self.step()
            seconds = self.chance.choice([0, 0, 1, 40, self.chance.uniform(0, longest_seconds)])
            self.audit.world.clock.advance(seconds)
            if self.chance.random() < 0.2:
                await self.audit.keeper.keep_once()

    async def step(self) -> None:
        one = self.chance.choice(self.callers)
        self.made += 1
        name = f"g{self.made}"
        places = ((one.organization, one.subjects), ("everyone", (EVERYONE,)))
        held = self.amounts()
        count = self.chance.choice([1, 1, 3])
        store = self.audit.world.store
        times = {}
        for partition, subjects in places:
            item = (
                Hold(name, partition, subjects, held)
                if count == 1
                else Lease(name, partition, subjects, NOTHING, held, count)
            )
            made = await (store.hold([item], soon()) if count == 1 else store.lease([item], soon()))
            assert isinstance(made[0], Grant)
            times[partition] = made[0].grant_time
            count = made[0].amounts.requests if count > 1 else 1
        if self.chance.random() < 0.2:
            more = [Extension(name, place, held.times(count + 1)) for place, _ in places]
            await store.extend(more, soon())
        await self.end(one, name, held, count, times)

    async def end(self, one: Caller, name: str, held: Amounts, count: int, times) -> None:
        used, clock = NOTHING, self.audit.world.clock
        for sequence in range(count):
            end = self.chance.choice(
                ["settles", "settles", "twice", "late", "unheld", "no", "dies"]
            )
            if end == "dies":
                clock.advance(self.chance.choice([0, 31]))
                await self.audit.world.sweep()
                return
            if end == "late":
                clock.advance(31)
            if end != "no":
                grant = f"{name}-gone" if end == "unheld" else name
                used += held if grant == name else NOTHING
                for _ in range(2 if end == "twice" else 1):
                    await self.settle(one, (grant, f"{name}/{sequence}"), sequence, held, times)
        if self.chance.random() < 0.8:
            gone = [Release(name, place, used) for place in (one.organization, "everyone")]
            await self.audit.world.store.release(gone, soon())

    async def settle(
        self, one: Caller, names: tuple[str, str], sequence: int, held: Amounts, times
    ) -> None:
        grant, hold_id = names
        spent = random.Random(hold_id).choice([Amounts(requests=1), held, self.spent_by(hold_id)])
        record = one.record(hold_id, spent)
        for partition, subjects, records in (
            (one.organization, one.subjects, record),
            ("everyone", (EVERYONE,), b""),
        ):
            settled = Settlement(sequence, held, spent, records)
            item = GrantSettlement(grant, partition, subjects, times[partition], (settled,))
            await self.audit.world.store.settle([item], soon())

    def spent_by(self, hold_id: str) -> Amounts:
        """The same however often it is told."""
        chance = random.Random(hold_id)
        return Amounts(1, *(chance.choice([0, 3, 10, 25]) for _ in range(3)))

    def amounts(self) -> Amounts:
        return Amounts(1, *(self.chance.choice([0, 3, 10, 25]) for _ in range(3)))
