"""ReconcileUsage and RebuildCounters: what UsageService is asked, and what it answers."""

import base64
from typing import TYPE_CHECKING

import msgspec

from meshgate.quota.ledger.counters import CounterName
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import usage_service_pb2 as pb

if TYPE_CHECKING:
    # They speak SQL, which a service without a ledger does not load.
    from meshgate.quota.ledger.rebuilding import Rebuilding
    from meshgate.quota.ledger.reconciliation import Difference, Reconciliation

_POSITION = msgspec.json.Decoder(tuple[str, str, str])


async def reconcile_usage(
    reconciliation: "Reconciliation", request: pb.ReconcileUsageRequest
) -> pb.ReconcileUsageResponse:
    """A page of counters beside the books.

    Raises:
        InvalidRequestError: The page token was not made here.
        ServiceUnavailableError: The store or the ledger does not answer, or too much waits.
    """
    after = _position(request.page_token) if request.page_token else None
    found = await reconciliation.reconcile(after, request.organization_id)
    return pb.ReconcileUsageResponse(
        differences=[_message(each) for each in found.differences],
        counter_count=found.compared,
        pending_count=found.waiting,
        next_page_token=_token(found.last) if found.last else "",
    )


async def rebuild_counters(
    rebuilding: "Rebuilding", request: pb.RebuildCountersRequest
) -> pb.RebuildCountersResponse:
    """What was made again.

    Raises:
        ServiceUnavailableError: The store or the ledger does not answer, or too much waits.
    """
    rebuilt = await rebuilding.rebuild(request.organization_id)
    return pb.RebuildCountersResponse(counter_count=rebuilt.counters, raised_count=rebuilt.raised)


def _message(found: "Difference") -> pb.UsageDifference:
    limit = found.name.limit
    message = pb.UsageDifference(
        partition=found.name.partition,
        subject=found.name.subject,
        limit=found.name.rule if limit is None else limit.name,
        counted=found.counted,
        booked=found.booked,
        message=found.message,
    )
    if found.start:
        message.window_start_time.FromMilliseconds(found.start)
    return message


def _token(last: CounterName) -> str:
    """It is not signed: whoever makes one up begins elsewhere in what he may see anyway."""
    content = msgspec.json.encode((last.partition, last.subject, last.rule))
    return base64.urlsafe_b64encode(content).decode()


def _position(token: str) -> CounterName:
    try:
        found = _POSITION.decode(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, msgspec.MsgspecError):
        raise _no_token() from None
    if any("\x00" in part for part in found):  # no database looks for it
        raise _no_token()
    return CounterName(*found)


def _no_token() -> InvalidRequestError:
    return InvalidRequestError(
        "the page token is not one that was given out: begin without one", field="page_token"
    )
