"""Requests that are settled, and counters that somebody changes behind the back of the scripts."""

import msgspec
from quota.ledger.audits import EVERYONE, caller
from quota.worlds import soon

from meshgate.limits.amounts import Amounts
from meshgate.quota.grants import GrantSettlement, Hold, Settlement
from meshgate.quota.ledger.counters import CounterName
from meshgate.quota.shards import shard_of, tag_of

SPENT = Amounts(1, 10, 20, 30)
COST = CounterName("org-1", "organization/org-1", "cost/total")
REQUESTS = CounterName("org-1", "key/k1", "requests/day/calendar/UTC")


async def spend(audit, *names: str, who: int = 1, wide: bool = True, **more) -> None:
    """Settle a request of each name, under the limits of its organization and of all."""
    one = caller(who)
    places = [(one.organization, one.subjects), *([("everyone", (EVERYONE,))] if wide else [])]
    store, clock = audit.world.store, audit.world.clock
    for name in names:
        await store.hold([Hold(name, place, subjects, SPENT) for place, subjects in places], soon())
        records = one.record(name, SPENT, **more)
        for place, subjects in places:
            settled = Settlement(0, SPENT, SPENT, records)
            item = GrantSettlement(name, place, subjects, clock(), (settled,))
            await store.settle([item], soon())
            records = b""


def meddle(valkey, name: CounterName, change) -> None:
    """Change the counters of a subject, as somebody would who has the store."""
    place = f"{len(name.partition)}:{name.partition}:{name.subject}"
    key = f"{tag_of(shard_of(name.partition))}subject:{place}"
    with valkey.control() as client:
        counters = msgspec.msgpack.decode(client.get(key))
        change(counters)
        if counters:
            client.set(key, msgspec.msgpack.encode(counters), keepttl=True)
        else:
            client.delete(key)


def add(name: CounterName, amount: int):
    def change(counters):
        counters[name.rule][2][1] += amount

    return change
