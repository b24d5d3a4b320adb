"""What the operators see of the ledger."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from meshgate.quota.ledger.entries import Entry

_ENTRIES = Counter(
    "meshgate_ledger_entries",
    "Entries that were written to the ledger, by how they came.",
    ("kind",),
)
_REPEATED = Counter(
    "meshgate_ledger_repeated", "Entries that were told again, and were in the ledger already."
)
_DROPPED = Counter(
    "meshgate_ledger_dropped",
    "Entries that were dropped from the ledger because of their age.",
)
_WAITING = Gauge(
    "meshgate_ledger_waiting_entries",
    "Entries of the usage streams of all shards that are not in the ledger yet.",
)
_AGE = Gauge(
    "meshgate_ledger_oldest_waiting_seconds",
    "How long the oldest of them has waited.",
)


def appended(entries: Iterable[Entry], repeated: int) -> None:
    """Count what was written."""
    for entry in entries:
        _ENTRIES.labels(entry.kind.name.lower()).inc()
    _REPEATED.inc(repeated)


def dropped(entries: int) -> None:
    """Count what was dropped."""
    _DROPPED.inc(entries)


def waiting(entries: int, age_seconds: float) -> None:
    """Note what waits."""
    _WAITING.set(entries)
    _AGE.set(age_seconds)
