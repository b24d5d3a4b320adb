"""What was booked, read where it lies, and limits that do not depend on the time."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from gateway_process import Gateway

from meshgate.quota.ledger.entries import RECORD_KINDS
from meshgate.v1 import usage_record_pb2

BOUND_SECONDS = 60


def total(kind: str, amount: int, enforcement: str = "STRICT") -> dict[str, Any]:
    """A limit for ever, so that no test depends on the time."""
    return {
        "kind": f"LIMIT_KIND_{kind}",
        "amount": str(amount),
        "unit": "WINDOW_UNIT_TOTAL",
        "enforcement": f"ENFORCEMENT_{enforcement}",
    }


def records(gateway: Gateway) -> list[usage_record_pb2.UsageRecord]:
    """Everything that was booked: what is in the ledger, and what still waits for it, each once."""
    # First what waits: it leaves there only when it is in the ledger.
    found = {record.hold_id: record for record in [*waiting(gateway), *written(gateway)]}
    return list(found.values())


def waiting(gateway: Gateway) -> list[usage_record_pb2.UsageRecord]:
    """The records that lie in the store."""
    url = json.loads((gateway.directory / "ready.json").read_text())["redis_url"]
    found: list[usage_record_pb2.UsageRecord] = []
    with redis.Redis.from_url(url) as client:
        for name in client.scan_iter(match="{q*}:usage"):
            for _, entry in client.xrange(name):
                content = entry.get(b"records", b"")
                found += usage_record_pb2.UsageRecords.FromString(content).records
    return found


def written(gateway: Gateway) -> list[usage_record_pb2.UsageRecord]:
    """The records in the ledger of a gateway that keeps it in its data directory."""
    kinds = ", ".join(str(int(kind)) for kind in RECORD_KINDS)
    query = f"SELECT content FROM ledger_entries WHERE kind IN ({kinds}) ORDER BY rowid"
    return [usage_record_pb2.UsageRecord.FromString(row[0]) for row in rows(gateway, query)]


def rows(gateway: Gateway, query: str) -> list[tuple[Any, ...]]:
    """What its ledger answers."""
    path = gateway.directory / "data" / "ledger.sqlite"
    with contextlib.closing(sqlite3.connect(path, timeout=BOUND_SECONDS)) as connection:
        return connection.execute(query).fetchall()


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Nobody else writes into this database."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def recorded(gateway: Gateway, key_id: str, count: int = 1) -> list[Any]:
    """The records of a key, once there are so many."""

    def mine() -> list[Any]:
        return [record for record in records(gateway) if record.key_id == key_id]

    async def complete() -> bool:
        return len(mine()) >= count

    async with asyncio.timeout(BOUND_SECONDS):
        while not await complete():
            await asyncio.sleep(0.05)
    return mine()
