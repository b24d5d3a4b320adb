"""Why something was not granted, as the errors of the gateway."""

from meshgate.limits.limit import Limit, LimitKind
from meshgate.quota.grants import LimitReached, NotGranted
from meshgate.runtime.errors import (
    GatewayError,
    HoldReleasedError,
    HoldUnknownError,
    LimitExceededError,
    ServiceUnavailableError,
)

_NANOS = 10**9
_LEDGER_RETRY_SECONDS = 5
_REBUILD_RETRY_SECONDS = 1


def limit_error(reached: LimitReached) -> LimitExceededError:
    """The error for a limit that is reached."""
    limit, needed = reached.limit, reached.requested
    if needed > limit.amount:
        message = (
            f"the limit of {_described(limit)} of {reached.subject_name} "
            f"is less than the {_quantity(limit, needed)} needed"
        )
    else:
        message = (
            f"the limit of {_described(limit)} of {reached.subject_name} is reached: "
            f"{_quantity(limit, reached.remaining)} left, {_quantity(limit, needed)} needed"
        )
    return LimitExceededError(
        message,
        retry_after_seconds=reached.retry_after_seconds,
        limit=limit.name,
        subject=reached.subject_name,
        amount=str(limit.amount),
        remaining=str(reached.remaining),
        requested=str(needed),
    )


def grant_error(why: NotGranted, grant_id: str) -> GatewayError:
    """The error for a grant that there cannot be."""
    if why is NotGranted.RELEASED:
        return HoldReleasedError(
            f"the grant {grant_id} had been given back, or its time has passed", grant_id=grant_id
        )
    if why is NotGranted.BEHIND:
        return ServiceUnavailableError(
            "the ledger is behind: too much that was used is not in it yet",
            retry_after_seconds=_LEDGER_RETRY_SECONDS,
            service="quota",
        )
    if why is NotGranted.LOST:
        return ServiceUnavailableError(
            "counters are being made again from the ledger, as the store was emptied",
            retry_after_seconds=_REBUILD_RETRY_SECONDS,
            service="quota",
        )
    return HoldUnknownError(f"there is no grant {grant_id}, or no longer", grant_id=grant_id)


def _described(limit: Limit) -> str:
    """`600 requests/minute`, `50 USD/month`."""
    window = "" if limit.unit is None else f"/{limit.unit.value}"
    what = "" if limit.kind is LimitKind.COST else f" {_noun(limit)}"
    return f"{_quantity(limit, limit.amount)}{what}{window}"


def _noun(limit: Limit) -> str:
    return "concurrent requests" if limit.unit is None else limit.kind.value.replace("_", " ")


def _quantity(limit: Limit, amount: int) -> str:
    if limit.kind is not LimitKind.COST:
        return str(amount)
    whole, rest = divmod(amount, _NANOS)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + " USD"
