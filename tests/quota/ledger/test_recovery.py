"""A store that was emptied: budgets grant nothing until their counters are made again, which they are."""

import asyncio

import pytest
from quota.ledger.audits import Caller, audit_at
from quota.ledger.usage import database_at, rows
from quota.worlds import key, per
from runtime.hosting import Host, plain_channel, settings

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LimitKind, WindowMode, WindowUnit
from meshgate.limits.messages import amounts_message, subject_message
from meshgate.quota.assembly import assemble
from meshgate.quota.grants import Grant, LimitReached, NotGranted
from meshgate.quota.ledger.checked_database import CheckedDatabase
from meshgate.quota.ledger.counter_store import CounterStore
from meshgate.quota.ledger.noting import NotedCounters
from meshgate.quota.ledger.rebuilding import Rebuilding, Rebuilt
from meshgate.quota.ledger.recovery import Recovery
from meshgate.quota.ledger.schema import ENTRIES
from meshgate.quota.redis_address import RedisAddress
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping
from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.v1 import quota_service_pb2 as pb
from meshgate.v1.quota_service_pb2_grpc import QuotaServiceStub

BUDGET = (key("k1", per(WindowUnit.TOTAL, 100, LimitKind.COST)),)
OTHERS = (
    key(
        "k1",
        per(WindowUnit.DAY, 100),
        per(WindowUnit.MINUTE, 100, LimitKind.COST),
        per(WindowUnit.HOUR, 100, LimitKind.COST, mode=WindowMode.CALENDAR),
    ),
)
SPENT = Amounts(1, 10, 20, 60)
ACME = Caller("acme", "k1", BUDGET)
KEEPING = Keeping(usage_entries=1_000, for_ledger=True, rebuild_seconds=30)


@pytest.fixture
async def audit(valkey, quick_disk, ledger_url):
    async with (
        database_at(ledger_url) as database,
        audit_at(valkey, database, keeping=KEEPING) as audit,
    ):
        yield audit


@pytest.fixture
def recovery(audit):
    return Recovery(audit.store, audit.rebuilding)


async def test_budgets_grant_nothing_until_their_counters_are_made_again(audit, recovery, valkey):
    first = await audit.world.hold("first", BUDGET, SPENT)
    await recovery.recover()
    await audit.world.hold("a", BUDGET, SPENT)
    await audit.world.settle("a", BUDGET, SPENT, SPENT, records=ACME.record("a", SPENT))
    await audit.drain()
    await audit.noted.note()
    valkey.clean()

    held = await audit.world.hold("b", BUDGET, SPENT)
    leased = await audit.world.lease("c", BUDGET, SPENT, 1)
    others = await audit.world.hold("d", OTHERS, SPENT)
    recovered = await recovery.recover()
    refused = await audit.world.hold("e", BUDGET, SPENT)
    granted = await audit.world.hold("f", BUDGET, Amounts(cost_nanos=40))

    assert first is held is leased is NotGranted.LOST
    assert isinstance(others, Grant)
    assert recovered == 64
    assert isinstance(refused, LimitReached)
    assert isinstance(granted, Grant)
    assert await recovery.recover() == 0


async def test_budgets_wait_no_longer_than_they_are_told_to(audit):
    before = await audit.world.hold("a", BUDGET, SPENT)
    audit.world.clock.advance(29)
    still = await audit.world.hold("b", BUDGET, SPENT)
    audit.world.clock.advance(1)

    after = await audit.world.hold("c", BUDGET, SPENT)

    assert before is still is NotGranted.LOST
    assert isinstance(after, Grant)


async def test_what_is_lost_again_meanwhile_is_not_said_to_be_whole(audit, recovery, valkey):
    lost = await audit.store.lost()
    valkey.clean()
    await audit.world.hold("a", BUDGET, SPENT)

    await audit.store.make_whole(lost)

    assert await audit.world.hold("b", BUDGET, SPENT) is NotGranted.LOST


class AwayAtFirst:
    """A rebuilding whose ledger does not answer the first time."""

    def __init__(self, rebuilding: Rebuilding) -> None:
        self._rebuilding = rebuilding
        self._tries = 0

    async def rebuild(self, **asked) -> Rebuilt:
        self._tries += 1
        if self._tries == 1:
            raise ServiceUnavailableError("the ledger is away")
        return await self._rebuilding.rebuild(**asked)


async def lacks_of_two_tries(recovering, between=lambda: None):
    """What is said to be lacking after each of two tries."""
    lacked = []

    async def pause(_seconds: float) -> None:
        lacked.append(recovery.lacks())
        if len(lacked) == 2:
            raise asyncio.CancelledError
        between()

    recovery = Recovery(*recovering, pause)
    with pytest.raises(asyncio.CancelledError):
        await recovery.keep_recovering(1.0)
    return lacked


async def test_what_cannot_be_made_again_yet_is_said_and_tried_again(audit):
    lacked = await lacks_of_two_tries((audit.store, AwayAtFirst(audit.rebuilding)))

    assert lacked == [("counters that were lost are not made again yet",), ()]


async def test_a_store_that_is_away_has_lost_nothing_as_far_as_one_knows(audit, valkey):
    await audit.store.make_whole(await audit.store.lost())
    valkey.kill()
    store = CounterStore(audit.nodes, answer_seconds=1.0)

    lacked = await lacks_of_two_tries((store, audit.rebuilding), between=valkey.start)

    assert lacked == [(), ()]


async def hold(stub: QuotaServiceStub, name: str) -> pb.GrantResult:
    item = pb.HoldItem(
        grant_id=name,
        partition="acme",
        subjects=[subject_message(subject) for subject in BUDGET],
        amounts=amounts_message(SPENT),
    )
    return (await stub.BatchHold(pb.BatchHoldRequest(items=[item]))).results[0]


async def settle(stub: QuotaServiceStub, name: str) -> None:
    amounts = amounts_message(SPENT)
    settlement = pb.Settlement(held=amounts, spent=amounts, records=ACME.record(name, SPENT))
    grant = pb.GrantSettlement(
        grant_id=name,
        partition="acme",
        subjects=[subject_message(subject) for subject in BUDGET],
        settlements=[settlement],
    )
    await stub.BatchSettle(pb.BatchSettleRequest(grants=[grant]))


async def test_a_service_makes_counters_again_by_itself(valkey, quick_disk, ledger_url):
    variables = {"REDIS_URL": valkey.url, "LEDGER_DATABASE_URL": ledger_url}
    host = Host({"quota": assemble}, settings("grpc"), variables)
    async with plain_channel(await host.started()) as channel, database_at(ledger_url) as database:
        stub = QuotaServiceStub(channel)
        first = await hold(stub, "first")
        await settle(stub, "first")
        nodes = RedisNodes(RedisAddress.parse(valkey.url))
        noted = NotedCounters(CheckedDatabase(database), CounterStore(nodes))
        await noted.note()
        await nodes.close()
        while not await rows(database, ENTRIES):
            await asyncio.sleep(0.01)

        valkey.clean()
        refusals = []
        while not refusals or "LIMIT_EXCEEDED" not in refusals[-1]:
            refusals.append(str((await hold(stub, f"then-{len(refusals)}")).refusal))

    assert first.HasField("grant")
    assert all("made again from the ledger" in each for each in refusals[:-1])
    await host.ended()
