"""What the ledger costs: how many entries a second are written, and what waits while requests are settled.

    .venv/bin/python bench/ledger.py [postgresql://user@host/name]

Starts a Valkey of its own, and makes a SQLite file; PostgreSQL only if one is named, with the tables of
`meshgate migrate` in it. First the ledger alone, in transactions of 500 entries; then settlements in batches
of 64, eight batches in flight, with no ledger and with one that is kept in the same process. At the end, what
keeping costs while nothing is used.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from meshgate.cli.ports import free_port
from meshgate.cli.redis_server import find_server
from meshgate.database.database import Database
from meshgate.database.migration import migrate
from meshgate.limits.amounts import Amounts
from meshgate.quota.grants import GrantSettlement, Settlement
from meshgate.quota.ledger.intake import Told, entries_of
from meshgate.quota.ledger.opening import opened_ledger
from meshgate.quota.ledger.schema import SCHEMA
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.usage_stream import UsageStream, new_consumer
from meshgate.quota.observation import Observed
from meshgate.quota.redis_address import RedisAddress
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping, RedisGrantStore
from meshgate.quota.shards import SHARD_COUNT, tag_of
from meshgate.runtime.deadline import Deadline
from meshgate.v1 import usage_record_pb2 as pb
from meshgate.v1.usage_pb2 import Usage

ENTRIES = 20_000
TRANSACTION = 500
SETTLED = 12_800
BATCH = 64
IN_FLIGHT = 8
ORGANIZATIONS = 20
SECONDS = 30.0
IDLE_SECONDS = 10.0
STEADILY = 400
STEADY_SECONDS = 10
SPENT = Amounts(requests=1, input_tokens=500, output_tokens=300, cost_nanos=9_000)


def records(number: int) -> bytes:
    """What routing writes of one request."""
    charge = pb.Charge(
        provider="openai",
        model="gpt-4o-mini",
        served_model="gpt-4o-mini-2024-07-18",
        usage=Usage(input_tokens=500, output_tokens=300),
        cost_nanos=9_000,
        price_version="table/2026-11-01",
    )
    record = pb.UsageRecord(
        hold_id=f"{os.getpid()}-{time.time_ns()}-{number}",
        request_id=f"request-{number}",
        principal_id="principal",
        key_id=f"key-{number % 200}",
        user_id=f"user-{number % 50}",
        team_id=f"team-{number % 10}",
        organization_id=f"org-{number % ORGANIZATIONS}",
        tags={"app": f"app-{number % 30}"},
        model="small",
        dialect="openai_chat",
        charges=[charge],
        outcome=pb.REQUEST_OUTCOME_ANSWERED,
        attempt_count=1,
    )
    return pb.UsageRecords(records=[record]).SerializeToString()


def told(number: int) -> Told:
    """The entry of a stream that has them."""
    now = time.time_ns() // 1_000_000
    fields = {b"id": b"g", b"kind": b"settled", b"grant_time": str(now).encode()}
    return Told(number % 64, f"{now}-{number}", fields | {b"records": records(number)})


async def append(url: str) -> float:
    """Entries a second, the work on their content included."""
    database = Database(SCHEMA, url, wait_seconds=SECONDS)
    ledger = SqlLedger(database)
    batches = [
        [told(number) for number in range(begin, begin + TRANSACTION)]
        for begin in range(0, ENTRIES, TRANSACTION)
    ]
    began = time.perf_counter()
    for batch in batches:
        await ledger.append([entry for one in batch for entry in entries_of(one)])
    took = time.perf_counter() - began
    await database.close()
    return ENTRIES / took


def batches_of(count: int) -> list[list[GrantSettlement]]:
    """So many settlements, each of a grant of its own that nobody knows."""
    return [
        [
            GrantSettlement(
                f"{os.getpid()}-{time.time_ns()}-{number}",
                f"org-{number % ORGANIZATIONS}",
                (),
                None,
                (Settlement(0, SPENT, SPENT, records(number)),),
            )
            for number in range(begin, begin + BATCH)
        ]
        for begin in range(0, count, BATCH)
    ]


async def settle(nodes: RedisNodes, *, for_ledger: bool) -> float:
    """Settlements a second."""
    store = RedisGrantStore(nodes, Keeping(for_ledger=for_ledger), Observed())
    batches = batches_of(SETTLED)
    began = time.perf_counter()
    for begin in range(0, len(batches), IN_FLIGHT):
        await asyncio.gather(
            *(
                store.settle(batch, Deadline.after(SECONDS))
                for batch in batches[begin : begin + IN_FLIGHT]
            )
        )
    return SETTLED / (time.perf_counter() - began)


async def settle_steadily(nodes: RedisNodes) -> None:
    """As many a second as a gateway may have requests."""
    store = RedisGrantStore(nodes, Keeping(for_ledger=True), Observed())
    for batch in batches_of(STEADILY * STEADY_SECONDS):
        await asyncio.gather(
            store.settle(batch, Deadline.after(SECONDS)), asyncio.sleep(BATCH / STEADILY)
        )


async def keep(nodes: RedisNodes, url: str) -> None:
    """Settle while the ledger is kept, and print what waited."""
    source = UsageStream(nodes, new_consumer())
    async with opened_ledger(url, nodes, SECONDS) as keeper:
        keeping = asyncio.create_task(keeper.keep())
        waiting: list[tuple[int, float]] = []
        watching = asyncio.create_task(watch(source, waiting))
        rate = await settle(nodes, for_ledger=True)
        ended = time.perf_counter()
        while (await source.measure()).entries:  # noqa: ASYNC110 - it is in the store
            await asyncio.sleep(0.01)
        caught_up = time.perf_counter() - ended
        most, oldest = max(n for n, _ in waiting), max(age for _, age in waiting)
        waiting.clear()
        await settle_steadily(nodes)
        for task in (keeping, watching):
            task.cancel()
        await asyncio.gather(keeping, watching, return_exceptions=True)
    print(
        f"  settled, with a ledger        {rate:8,.0f} /s; {most:,} waited at most, "
        f"{oldest:.2f} s at most; written {caught_up:.2f} s after the last"
    )
    ages = sorted(age for _, age in waiting)
    print(
        f"  at {STEADILY} a second, the oldest that waits: {ages[len(ages) // 2]:.2f} s as a rule, "
        f"{ages[-1]:.2f} s at most"
    )


async def size_in_store(nodes: RedisNodes) -> float:
    """Bytes that an entry takes in the store while it waits."""
    usage = [f"{tag_of(shard)}usage" for shard in range(SHARD_COUNT)]
    send = nodes.only.send  # type: ignore[union-attr]
    counts = await send([("XLEN", key) for key in usage])
    sizes = await send([("MEMORY", "USAGE", key, "SAMPLES", 0) for key in usage])
    return sum(size or 0 for size in sizes) / sum(counts)


def size_of(url: str) -> int:
    """The bytes of a SQLite file."""
    return Path(url.removeprefix("sqlite:///")).stat().st_size


async def idle(nodes: RedisNodes, url: str) -> float:
    """The share of a core that keeping takes while nothing is used."""
    async with opened_ledger(url, nodes, SECONDS) as keeper:
        keeping = asyncio.create_task(keeper.keep())
        began = time.process_time()
        await asyncio.sleep(IDLE_SECONDS)
        took = time.process_time() - began
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    return took / IDLE_SECONDS


async def watch(source: UsageStream, waiting: list[tuple[int, float]]) -> None:
    """Note what waits, without end."""
    while True:
        backlog = await source.measure()
        waiting.append((backlog.entries, backlog.age_seconds))
        await asyncio.sleep(0.05)


async def measure(redis_port: int, urls: list[str]) -> None:
    """All of it."""
    nodes = RedisNodes(RedisAddress.parse(f"redis://127.0.0.1:{redis_port}/0"))
    print(f"  settled, without a ledger     {await settle(nodes, for_ledger=False):8,.0f} /s")
    print(f"  an entry in the store         {await size_in_store(nodes):8,.0f} bytes")
    for url in urls:
        await migrate(SCHEMA, url)
        print(f"{url.partition(':')[0]}")
        print(f"  entries written, alone        {await append(url):8,.0f} /s")
        if url.startswith("sqlite"):
            print(f"  an entry in the file          {size_of(url) / ENTRIES:8,.0f} bytes")
        await nodes.only.send([("FLUSHALL",)])  # type: ignore[union-attr]
        await keep(nodes, url)
    print(f"idle                            {await idle(nodes, urls[0]):8.2%} of a core")
    await nodes.close()


def main() -> None:
    """Start what is needed, and measure."""
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        options = ("--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "everysec")
        command = [find_server(), "--port", str(port), "--dir", directory, "--save", "", *options]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(1)
            urls = [f"sqlite:///{Path(directory) / 'ledger.sqlite'}", *sys.argv[1:]]
            uvloop.run(measure(port, urls))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
