"""Usage for the tests of the ledger, and what the ledger has of it."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Table, select

from meshgate.database.database import Database
from meshgate.quota.ledger.entries import CHAIN_START, Entry, Sealed, chained, digest_of
from meshgate.quota.ledger.intake import Told, entries_of
from meshgate.quota.ledger.labels import Kind
from meshgate.quota.ledger.schema import ENTRIES, HEADS, IDS, LABELS, LINES, SCHEMA
from meshgate.v1 import usage_record_pb2 as pb
from meshgate.v1.usage_pb2 import Usage

MOMENT = 1_790_000_005_000
"""A moment in milliseconds, in September 2026."""


def charge(cost_nanos: int | None = 30, **more: Any) -> pb.Charge:
    usage = Usage(input_tokens=10, cached_input_tokens=4, output_tokens=5, reasoning_tokens=2)
    values = {"provider": "openai", "model": "gpt-1", "usage": usage} | more
    return pb.Charge(cost_nanos=cost_nanos, **values)


def record(hold_id: str, *charges: pb.Charge, **more: Any) -> pb.UsageRecord:
    values = {
        "organization_id": "acme",
        "team_id": "red",
        "user_id": "ann",
        "key_id": "k1",
        "model": "small",
        "outcome": pb.REQUEST_OUTCOME_ANSWERED,
    } | more
    return pb.UsageRecord(hold_id=hold_id, charges=charges, **values)


def told(number: int, *records: pb.UsageRecord, shard: int = 3, kind: bytes = b"settled", **more):
    """An entry of a stream, as the scripts write it."""
    fields = {
        b"id": b"grant",
        b"kind": kind,
        b"sequence": b"0",
        b"grant_time": str(more.get("grant_time", MOMENT)).encode(),
        b"records": pb.UsageRecords(records=records).SerializeToString(),
    }
    return Told(shard, f"{MOMENT + 7}-{number}", fields)


def adjusted(number: int, kind: bytes = b"abandoned", *, shard: int = 3, **more: Any) -> Told:
    """An adjustment, as the scripts write it."""
    fields: dict[bytes, bytes] = {
        b"id": b"grant",
        b"kind": kind,
        b"requests": b"1",
        b"input_tokens": b"20",
        b"output_tokens": b"30",
        b"cost_nanos": b"40",
        b"concurrency": b"0",
        b"partition": more.get("partition", b"acme"),
        b"subjects": json.dumps(more.get("subjects", ["key/k1", "organization/acme"])).encode(),
        b"grant_time": str(MOMENT).encode(),
        b"cause": more.get("cause", b"settled/0"),
    }
    return Told(shard, f"{MOMENT + 7}-{number}", fields)


def adjustment_id(kind: str, grant: str, cause: str) -> str:
    """The id of an adjustment in the partition `acme`."""
    digest = hashlib.sha256(b"acme\x00" + grant.encode()).hexdigest()
    return f"{kind}/{digest[:32]}/{cause}"


def entries(*all_told: Told) -> list[Entry]:
    return [entry for one in all_told for entry in entries_of(one)]


@asynccontextmanager
async def database_at(url: str, wait_seconds: float = 20.0) -> AsyncIterator[Database]:
    database = Database(SCHEMA, url, wait_seconds=wait_seconds)
    try:
        yield database
    finally:
        await database.close()


async def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    async with database.reading() as connection:
        found = await connection.execute(select(table).order_by(*table.primary_key))
        return [dict(row) for row in found.mappings()]


async def named_lines(database: Database) -> list[dict[str, Any]]:
    """The lines with names in place of numbers."""
    names = {row["label_id"]: (row["kind"], row["text"]) for row in await rows(database, LABELS)}
    lines = await rows(database, LINES)
    for line in lines:
        for kind in Kind:
            field = kind.name.lower()
            found = names.get(line[field], (kind, ""))
            assert found[0] == kind, f"{field} refers to a label of another kind"
            line[field] = found[1]
    return lines


async def check_books(database: Database) -> list[str]:
    """The ids of all entries, once it is sure that the chains hold and nothing lacks its place."""
    stored = await rows(database, ENTRIES)
    links: dict[int, tuple[int, bytes]] = {}
    for entry in stored:
        sequence, chain = links.get(entry["shard"], (0, CHAIN_START))
        assert entry["sequence"] == sequence + 1
        assert entry["digest"] == digest_of(entry["content"])
        sealed = Sealed(*(entry[name] for name in ("kind", "booked_time", "entry_id", "digest")))
        assert entry["chain"] == chained(chain, entry["sequence"], sealed)
        links[entry["shard"]] = (entry["sequence"], entry["chain"])
    heads = {row["shard"]: (row["sequence"], row["chain"]) for row in await rows(database, HEADS)}
    assert {shard: head for shard, head in heads.items() if head[0]} == links
    places = ("entry_id", "shard", "sequence", "booked_time")
    ids = {tuple(row[name] for name in places) for row in await rows(database, IDS)}
    assert ids == {tuple(entry[name] for name in places) for entry in stored}
    return sorted(entry["entry_id"] for entry in stored)


def ids_of(some: Sequence[Entry]) -> list[str]:
    return sorted(entry.entry_id for entry in some)
