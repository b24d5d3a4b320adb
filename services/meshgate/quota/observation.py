"""What the operators see of quota: metrics and events."""

import structlog
from prometheus_client import Counter

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import LimitKind
from meshgate.quota.grants import Alert, Booking, Grant, GrantOutcome, LimitReached

_log = structlog.get_logger("meshgate.quota")

_HOLDS = Counter("meshgate_quota_holds", "Holds and leases, by what became of them.", ("outcome",))
_EXTENSIONS = Counter(
    "meshgate_quota_extensions", "Extensions of grants, by what became of them.", ("outcome",)
)
_SETTLEMENTS = Counter(
    "meshgate_quota_settlements", "Settlements, by how they were booked.", ("booking",)
)
_OVERRUNS = Counter(
    "meshgate_quota_overruns", "How much more was used than was held, by what it is.", ("kind",)
)
_OVERRUN_KINDS = (
    LimitKind.REQUESTS,
    LimitKind.INPUT_TOKENS,
    LimitKind.OUTPUT_TOKENS,
    LimitKind.COST,
)
_ABANDONED = Counter("meshgate_quota_abandoned", "Grants whose ttl passed without a settlement.")
_ALERTS = Counter("meshgate_quota_alerts", "Soft limits that were passed.", ("limit",))


def granted(outcome: GrantOutcome) -> None:
    """Count what became of a hold or a lease."""
    _HOLDS.labels(_word(outcome)).inc()


def extended(outcome: GrantOutcome) -> None:
    """Count what became of an extension."""
    _EXTENSIONS.labels(_word(outcome)).inc()


def settled(booking: Booking, overrun: Amounts) -> None:
    """Count a settlement."""
    _SETTLEMENTS.labels(booking.value).inc()
    if overrun == NOTHING or booking is Booking.REPEATED:
        return
    for kind in _OVERRUN_KINDS:
        _OVERRUNS.labels(kind.value).inc(max(0, overrun.of(kind)))


class Observed:
    """The `StoreEvents` of a process."""

    def alerted(self, alert: Alert) -> None:
        _ALERTS.labels(alert.limit.name).inc()
        _log.warning(
            "a soft limit is passed",
            partition=alert.partition,
            subject=alert.subject_name,
            limit=alert.limit.name,
            amount=alert.limit.amount,
            total=alert.total,
        )

    def abandoned(self, count: int) -> None:
        _ABANDONED.inc(count)
        _log.warning("grants were abandoned by their owners", count=count)


def _word(outcome: GrantOutcome) -> str:
    if isinstance(outcome, Grant):
        return "repeated" if outcome.repeated else "granted"
    return "refused" if isinstance(outcome, LimitReached) else outcome.value
