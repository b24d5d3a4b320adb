"""What the ledger keeps, and how each entry is chained to the one before it in its shard."""

import enum
import hashlib

from msgspec import Struct

from meshgate.quota.ledger.lines import Line

CHAIN_START = bytes(32)
"""What the first entry of a shard is chained to."""


class EntryKind(enum.IntEnum):
    """How something came into the books. The numbers are stored: they never change."""

    SETTLED = 1
    """A record, settled under its grant."""
    LATE = 2
    """A record, settled when its grant had been given up."""
    UNHELD = 3
    """A record, settled when its grant was not known any more."""
    ABANDONED = 4
    """An adjustment: a grant was given up, and what it held counts as spent."""
    RETURNED = 5
    """An adjustment: of what was given up, so much was not spent after all, or settled late."""
    UNREADABLE = 9
    """What nobody could make sense of, as it came."""


RECORD_KINDS = frozenset({EntryKind.SETTLED, EntryKind.LATE, EntryKind.UNHELD})
ADJUSTMENT_KINDS = frozenset({EntryKind.ABANDONED, EntryKind.RETURNED})


class Entry(Struct, frozen=True):
    """Something for the books, before it has its place in them.

    Attributes:
        shard: Whose chain it belongs to.
        entry_id: Names it, so that it comes in once, however often it is told.
        kind: How it came.
        booked_time: The moment whose windows it counts in, in microseconds.
        content: A serialized UsageRecord or Adjustment; for what is unreadable, the fields as they
            came.
        lines: What reports count of it.
    """

    shard: int
    entry_id: str
    kind: EntryKind
    booked_time: int
    content: bytes
    lines: tuple[Line, ...] = ()


def digest_of(content: bytes) -> bytes:
    """What stays of a content that is erased."""
    return hashlib.sha256(content).digest()


class Sealed(Struct, frozen=True):
    """What a link holds of an entry, for good. All of it outlives an erasure.

    Attributes:
        kind: As the entry's.
        booked_time: Likewise.
        entry_id: Likewise.
        digest: Of its content.
    """

    kind: int
    booked_time: int
    entry_id: str
    digest: bytes


def chained(previous: bytes, sequence: int, sealed: Sealed) -> bytes:
    """The link of an entry: neither it nor anything before it can be changed without changing it.

    SHA-256 of the previous link (32 bytes), the sequence (8), the kind (2), the booked time (8), the
    digest (32) and the id, numbers big-endian.
    """
    numbers = (
        sequence.to_bytes(8, "big", signed=True)
        + sealed.kind.to_bytes(2, "big", signed=True)
        + sealed.booked_time.to_bytes(8, "big", signed=True)
    )
    return hashlib.sha256(previous + numbers + sealed.digest + sealed.entry_id.encode()).digest()
