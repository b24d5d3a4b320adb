"""The way of usage, from a settlement to the ledger, for the tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quota.ledger.usage import charge, record
from quota.worlds import World, key, per, redis_world, soon

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LimitKind, WindowUnit
from meshgate.quota.grants import GrantSettlement, Hold, Settlement
from meshgate.quota.ledger.keeper import Taken
from meshgate.quota.ledger.usage_stream import Patience, UsageStream
from meshgate.quota.redis_address import RedisAddress
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping
from meshgate.v1 import usage_record_pb2 as pb

SUBJECTS = (key("k1", per(WindowUnit.TOTAL, 10**9), per(WindowUnit.TOTAL, 10**12, LimitKind.COST)),)
SPENT = Amounts(requests=1, cost_nanos=30)
PARTITIONS = tuple(f"org-{number}" for number in range(12))
"""Some organizations, in as many shards as chance will have it."""
LONG = Patience(3_600.0, 3_600.0, 30.0)


def ledger_world(server, usage_entries: int = 1_000):
    """A world whose usage waits for a ledger."""
    return redis_world(server, Keeping(usage_entries=usage_entries, for_ledger=True))


@asynccontextmanager
async def stream_at(
    server, consumer: str = "one", patience: Patience = LONG
) -> AsyncIterator[UsageStream]:
    nodes = RedisNodes(RedisAddress.parse(server.url))
    try:
        yield UsageStream(nodes, consumer, patience)
    finally:
        await nodes.close()


async def use(world: World, *names: str, partitions=PARTITIONS) -> None:
    """Settle a request of each name, each in one of the organizations."""
    places = [partitions[number % len(partitions)] for number in range(len(names))]
    held = [Hold(name, place, SUBJECTS, SPENT) for name, place in zip(names, places, strict=True)]
    await world.store.hold(held, soon())
    await world.store.settle(
        [
            GrantSettlement(
                hold.grant_id,
                hold.partition,
                SUBJECTS,
                None,
                (Settlement(0, SPENT, SPENT, recorded(hold.grant_id, hold.partition)),),
            )
            for hold in held
        ],
        soon(),
    )


def recorded(hold_id: str, organization_id: str = "acme") -> bytes:
    one = record(hold_id, charge(30), organization_id=organization_id)
    return pb.UsageRecords(records=[one]).SerializeToString()


def names_of(taken: Taken) -> list[str]:
    """The grants that entries are of."""
    return sorted(one.fields[b"id"].decode() for one in taken.told)
