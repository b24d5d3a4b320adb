"""What holds cost: how many a second the store takes, on one shard and on all.

    .venv/bin/python bench/quota.py

Starts a Valkey of its own. Each batch has 64 holds, each under four subjects with two limits: once all of
one partition, once each of another one, two batches in flight at a time; every hold is settled afterwards,
all batches in flight at once. Prints the best of several rounds: the machine's noise only ever takes away.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from meshgate.cli.ports import free_port
from meshgate.cli.redis_server import find_server
from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import Limit, LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.quota.grants import GrantSettlement, Hold, Settlement
from meshgate.quota.observation import Observed
from meshgate.quota.redis_address import RedisAddress
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping, RedisGrantStore
from meshgate.quota.shards import SHARD_COUNT, shard_of
from meshgate.runtime.deadline import Deadline

ROUNDS = 5
BATCHES = 40
ITEMS = 64
IN_FLIGHT = 2
SECONDS = 10.0
AMOUNTS = Amounts(requests=1, input_tokens=500, output_tokens=500, cost_nanos=9_000, concurrency=1)
_KINDS = (SubjectKind.KEY, SubjectKind.USER, SubjectKind.TEAM, SubjectKind.ORGANIZATION)


class Load:
    """Batches of holds and their settlements.

    Args:
        store: Takes them.
        partitions: One for each item of a batch.
    """

    def __init__(self, store: RedisGrantStore, partitions: list[str]) -> None:
        self._store = store
        self._partitions = partitions
        self._made = 0

    def batch(self) -> list[Hold]:
        """Holds that were not asked for before."""
        self._made += 1
        return [
            Hold(f"g{os.getpid()}-{self._made}-{number}", partition, subjects(number), AMOUNTS)
            for number, partition in enumerate(self._partitions)
        ]

    async def hold(self, batches: list[list[Hold]]) -> None:
        """Ask for all of them."""
        for batch in batches:
            outcomes = await self._store.hold(batch, Deadline.after(SECONDS))
            assert all(hasattr(outcome, "grant_time") for outcome in outcomes), outcomes  # noqa: S101

    async def settle(self, batches: list[list[Hold]]) -> None:
        """Settle all of them, every batch at the same time: each waits for the disk."""
        await asyncio.gather(*(self._settle(batch) for batch in batches))

    async def _settle(self, batch: list[Hold]) -> None:
        items = [
            GrantSettlement(
                hold.grant_id,
                hold.partition,
                hold.subjects,
                None,
                (Settlement(0, AMOUNTS, AMOUNTS, b"r" * 300),),
            )
            for hold in batch
        ]
        await self._store.settle(items, Deadline.after(SECONDS))


def subjects(number: int) -> tuple[Subject, ...]:
    """Four subjects; the first is another one for every eighth hold, the last the same for all."""
    limits = (
        Limit.of(LimitKind.REQUESTS, 10**9, WindowUnit.MINUTE),
        Limit.of(LimitKind.COST, 10**15, WindowUnit.DAY),
    )
    names = (f"k{number % 8}", f"u{number % 4}", f"t{number % 2}", "o")
    return tuple(Subject(kind, name, limits) for kind, name in zip(_KINDS, names, strict=True))


def spread_partitions() -> list[str]:
    """A partition in every shard."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < SHARD_COUNT:
        found.setdefault(shard_of(f"org-{number}"), f"org-{number}")
        number += 1
    return [found[shard] for shard in range(ITEMS)]


async def main(url: str, pid: int) -> None:
    """Print the table."""
    nodes = RedisNodes(RedisAddress.parse(url))
    store = RedisGrantStore(nodes, Keeping(), Observed())
    print("                              a second    µs of Python    µs of the store")
    for name, partitions in (
        ("one shard", ["acme"] * ITEMS),
        (f"{SHARD_COUNT} shards", spread_partitions()),
    ):
        load = Load(store, partitions)
        held = [
            [[load.batch() for _ in range(BATCHES)] for _ in range(IN_FLIGHT)]
            for _ in range(ROUNDS)
        ]
        await report(f"holds, {name}", held, load.hold, pid)
        await report(f"settlements, {name}", held, load.settle, pid)
    await nodes.close()


async def report(
    name: str, rounds: list[Any], work: Callable[[Any], Awaitable[None]], pid: int
) -> None:
    """Print one line."""
    best = (0.0, 0.0, 0.0)
    for flights in rounds:
        cpu, server, started = time.process_time(), cpu_of(pid), time.perf_counter()
        await asyncio.gather(*(work(batches) for batches in flights))
        count = IN_FLIGHT * BATCHES * ITEMS
        seconds = time.perf_counter() - started
        best = max(
            best,
            (
                count / seconds,
                (time.process_time() - cpu) / count * 1e6,
                (cpu_of(pid) - server) / count * 1e6,
            ),
        )
    print(f"{name:28}{best[0]:10,.0f}{best[1]:16.1f}{best[2]:19.1f}")


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", directory]
        options += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        server = subprocess.Popen([find_server(), *options], stdout=sys.stderr.fileno())
        try:
            time.sleep(0.5)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(main(f"redis://127.0.0.1:{port}/0", server.pid))
        finally:
            server.terminate()
            server.wait()
