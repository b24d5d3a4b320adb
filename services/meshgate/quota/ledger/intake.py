"""What an entry of a usage stream says: entries for the books.

The scripts write the streams; see `note` and `tell_books` there.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Struct

from meshgate.quota.ledger.entries import (
    ADJUSTMENT_KINDS,
    RECORD_KINDS,
    Entry,
    EntryKind,
)
from meshgate.quota.ledger.lines import lines_of_adjustment, lines_of_record
from meshgate.v1 import limit_pb2
from meshgate.v1 import usage_record_pb2 as pb

_KINDS = {kind.name.lower().encode(): kind for kind in (*RECORD_KINDS, *ADJUSTMENT_KINDS)}
_ADJUSTMENTS = {
    EntryKind.ABANDONED: pb.ADJUSTMENT_KIND_ABANDONED,
    EntryKind.RETURNED: pb.ADJUSTMENT_KIND_RETURNED,
}
_NAMES = {number: kind.name.lower() for kind, number in _ADJUSTMENTS.items()}
_MICROSECONDS = 1_000
_NANOS = 1_000_000
# An index of PostgreSQL takes somewhat more.
_LONGEST_ID_BYTES = 2_000
_MOST_CHARGES = 10_000
_SUBJECTS = msgspec.json.Decoder(list[str])
# Of all moments that a broken clock may tell, those that a calendar has.
_EARLIEST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1_000)
_LATEST = int(datetime(9000, 1, 1, tzinfo=UTC).timestamp() * 1_000)


class Told(Struct, frozen=True):
    """An entry of a usage stream.

    Attributes:
        shard: Whose stream.
        stream_id: Its place there: `<milliseconds>-<number>`.
        fields: Its fields.
    """

    shard: int
    stream_id: str
    fields: Mapping[bytes, bytes]


class UnreadableError(ValueError):
    """Nobody can make sense of it."""


def entries_of(told: Told) -> Sequence[Entry]:
    """What the books shall have of it. What cannot be read is kept as it came."""
    try:
        kind = _KINDS.get(told.fields.get(b"kind", b""))
        if kind is None:
            raise UnreadableError("no such kind")
        return _records(told, kind) if kind in RECORD_KINDS else [_adjustment(told, kind)]
    except (ValueError, KeyError, DecodeError):
        return [unreadable(told)]


def unreadable(told: Told) -> Entry:
    """It as it came."""
    fields = [part for field in told.fields.items() for part in field]
    return Entry(
        shard=told.shard,
        entry_id=_place(told, "unreadable"),
        kind=EntryKind.UNREADABLE,
        booked_time=_stream_time(told) * _MICROSECONDS,
        content=msgspec.msgpack.encode(fields),
    )


def _records(told: Told, kind: EntryKind) -> list[Entry]:
    records = pb.UsageRecords.FromString(told.fields[b"records"]).records
    if not records:
        raise UnreadableError("no records")
    if any(len(record.charges) > _MOST_CHARGES for record in records):
        raise UnreadableError("more charges than any request has")
    booked_time = _grant_time(told) * _MICROSECONDS
    return [
        Entry(
            shard=told.shard,
            entry_id=_named(record.hold_id) or _place(told, f"unnamed/{number}"),
            kind=kind,
            booked_time=booked_time,
            content=record.SerializeToString(deterministic=True),
            lines=lines_of_record(record),
        )
        for number, record in enumerate(records)
    ]


def _adjustment(told: Told, kind: EntryKind) -> Entry:
    fields = told.fields
    grant_time = _grant_time(told)
    adjustment = pb.Adjustment(
        kind=_ADJUSTMENTS[kind],
        grant_id=fields[b"id"].decode(),
        partition=fields.get(b"partition", b"").decode(),
        subjects=_SUBJECTS.decode(fields.get(b"subjects", b"[]")),
        amounts=limit_pb2.Amounts(
            requests=int(fields[b"requests"]),
            input_tokens=int(fields[b"input_tokens"]),
            output_tokens=int(fields[b"output_tokens"]),
            cost_nanos=int(fields[b"cost_nanos"]),
            concurrency=int(fields[b"concurrency"]),
        ),
    )
    adjustment.booked_time.seconds = grant_time // 1_000
    adjustment.booked_time.nanos = grant_time % 1_000 * _NANOS
    return Entry(
        shard=told.shard,
        entry_id=_adjustment_id(told, adjustment),
        kind=kind,
        booked_time=grant_time * _MICROSECONDS,
        content=adjustment.SerializeToString(deterministic=True),
        lines=lines_of_adjustment(adjustment),
    )


def _adjustment_id(told: Told, adjustment: pb.Adjustment) -> str:
    """Names what was adjusted and why, not where that was told.

    A store that crashes and has lost its last second tells the same again, in another place. The name
    stays when an organization is erased, so it must not tell whose grant it was.
    """
    kind = _NAMES[adjustment.kind]
    cause = told.fields.get(b"cause", b"").decode()
    if not cause:
        return _place(told, kind)  # an older version wrote it
    grant = f"{adjustment.partition}\x00{adjustment.grant_id}".encode()
    return _named(f"{kind}/{hashlib.sha256(grant).hexdigest()[:32]}/{cause}")


def _named(entry_id: str) -> str:
    """The id, if a database would take it."""
    if "\x00" in entry_id or len(entry_id.encode()) > _LONGEST_ID_BYTES:
        raise UnreadableError("an impossible id")
    return entry_id


def _place(told: Told, what: str) -> str:
    """Names what has no name of its own by where it came from."""
    return f"{what}/{told.shard}/{told.stream_id}"


def _grant_time(told: Told) -> int:
    """Milliseconds. What was written by an older version does not say: it is new, as a rule."""
    said = told.fields.get(b"grant_time")
    moment = int(said) if said else 0
    return moment if _EARLIEST <= moment < _LATEST else _stream_time(told)


def _stream_time(told: Told) -> int:
    return min(max(int(told.stream_id.partition("-")[0]), _EARLIEST), _LATEST - 1)
