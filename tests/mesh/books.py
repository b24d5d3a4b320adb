"""What was booked, read where it lies, and limits that do not depend on the time."""

import asyncio
import json
from typing import Any

import redis
from gateway_process import Gateway

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
    """Everything that was booked."""
    url = json.loads((gateway.directory / "ready.json").read_text())["redis_url"]
    found = []
    with redis.Redis.from_url(url) as client:
        for name in client.scan_iter(match="{q*}:usage"):
            for _, entry in client.xrange(name):
                found += usage_record_pb2.UsageRecords.FromString(
                    entry.get(b"records", b"")
                ).records
    return found


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
