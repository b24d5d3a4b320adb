"""QuotaService: proto to grants and back."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from meshgate.limits.limit import Subject, SubjectKind
from meshgate.limits.messages import amounts_message, amounts_of, limit_message, subject_message
from meshgate.quota import observation
from meshgate.quota.grants import (
    Booking,
    Grant,
    GrantOutcome,
    GrantSettlement,
    GrantStore,
    LimitReached,
    LimitState,
    Settlement,
)
from meshgate.quota.reading import Reader
from meshgate.quota.refusing import grant_error, limit_error
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.status import status_of
from meshgate.v1 import quota_service_pb2 as pb
from meshgate.v1.quota_service_pb2_grpc import QuotaServiceServicer

MAXIMUM_ITEMS = 1_000
MAXIMUM_RECORD_BYTES = 16 << 20

_BOOKINGS = {
    Booking.BOOKED: pb.BOOKING_BOOKED,
    Booking.REPEATED: pb.BOOKING_REPEATED,
    Booking.LATE: pb.BOOKING_LATE,
    Booking.UNHELD: pb.BOOKING_UNHELD,
}

Message = TypeVar("Message")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class QuotaServicer(QuotaServiceServicer):
    """Answers from a store.

    Args:
        store: Counts.
        hold_seconds: How long a call may take that somebody waits for.
        settle_seconds: How long it may take until settlements are on disk.
    """

    def __init__(self, store: GrantStore, hold_seconds: float, settle_seconds: float) -> None:
        self._store = store
        self._hold_seconds = hold_seconds
        self._settle_seconds = settle_seconds
        self._reader = Reader()

    async def BatchHold(self, request: pb.BatchHoldRequest, context: Any) -> pb.BatchHoldResponse:
        async def hold(items: Sequence[Any]) -> Sequence[pb.GrantResult]:
            outcomes = await self._store.hold(items, self._deadline(context))
            return _granted(items, outcomes, observation.granted)

        return pb.BatchHoldResponse(
            results=await _each(request.items, self._reader.hold, hold, _refused_grant)
        )

    async def BatchLease(
        self, request: pb.BatchLeaseRequest, context: Any
    ) -> pb.BatchLeaseResponse:
        async def lease(items: Sequence[Any]) -> Sequence[pb.GrantResult]:
            outcomes = await self._store.lease(items, self._deadline(context))
            return _granted(items, outcomes, observation.granted)

        return pb.BatchLeaseResponse(
            results=await _each(request.items, self._reader.lease, lease, _refused_grant)
        )

    async def BatchExtend(
        self, request: pb.BatchExtendRequest, context: Any
    ) -> pb.BatchExtendResponse:
        async def extend(items: Sequence[Any]) -> Sequence[pb.GrantResult]:
            outcomes = await self._store.extend(items, self._deadline(context))
            return _granted(items, outcomes, observation.extended)

        return pb.BatchExtendResponse(
            results=await _each(request.items, self._reader.extension, extend, _refused_grant)
        )

    async def BatchRelease(
        self, request: pb.BatchReleaseRequest, context: Any
    ) -> pb.BatchReleaseResponse:
        async def release(items: Sequence[Any]) -> Sequence[pb.ReleaseResult]:
            await self._store.release(items, self._deadline(context))
            return [pb.ReleaseResult() for _ in items]

        return pb.BatchReleaseResponse(
            results=await _each(
                request.items,
                self._reader.release,
                release,
                lambda refusal: pb.ReleaseResult(refusal=refusal),
            )
        )

    async def BatchSettle(
        self, request: pb.BatchSettleRequest, context: Any
    ) -> pb.BatchSettleResponse:
        settlements = [each for grant in request.grants for each in grant.settlements]
        _check_count(max(len(settlements), len(request.grants)), "settlements")
        _check_count(
            sum(len(each.records) for each in settlements), "records", MAXIMUM_RECORD_BYTES
        )
        deadline = Deadline.from_context(context, self._settle_seconds)
        plans = [self._read_settlements(grant) for grant in request.grants]
        booked = iter(
            await self._store.settle([plan for plan, _ in plans if plan.settlements], deadline)
            if any(plan.settlements for plan, _ in plans)
            else ()
        )
        response = pb.BatchSettleResponse()
        for message, (plan, refusals) in zip(request.grants, plans, strict=True):
            bookings = iter(next(booked) if plan.settlements else ())
            for settlement, refusal in zip(message.settlements, refusals, strict=True):
                response.results.append(
                    pb.SettleResult(refusal=refusal)
                    if refusal
                    else _settled(settlement, next(bookings))
                )
        return response

    def _read_settlements(
        self, message: pb.GrantSettlement
    ) -> tuple[GrantSettlement, list[status_pb2.Status | None]]:
        """The grant with those of its settlements that can be booked; why others cannot."""
        try:
            grant = self._reader.grant(message)
        except InvalidRequestError as error:
            nothing = GrantSettlement("", "", (), None, ())
            return nothing, [status_of(error) for _ in message.settlements]
        refusals: list[status_pb2.Status | None] = []
        settlements: list[Settlement] = []
        for settlement in message.settlements:
            try:
                settlements.append(self._reader.settlement(settlement))
                refusals.append(None)
            except InvalidRequestError as error:
                refusals.append(status_of(error))
        return (
            GrantSettlement(
                grant.grant_id,
                grant.partition,
                grant.subjects,
                grant.grant_time,
                tuple(settlements),
            ),
            refusals,
        )

    def _deadline(self, context: Any) -> Deadline:
        return Deadline.from_context(context, self._hold_seconds)


async def _each(
    messages: Sequence[Message],
    read: Callable[[Message], Item],
    answer: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]],
    refused: Callable[[status_pb2.Status], Outcome],
) -> list[Outcome]:
    """The outcome of each message, in order; those that cannot be read are refused alone."""
    _check_count(len(messages), "items")
    items: list[Item] = []
    refusals: dict[int, status_pb2.Status] = {}
    for number, message in enumerate(messages):
        try:
            items.append(read(message))
        except InvalidRequestError as error:
            refusals[number] = status_of(error)
    outcomes = iter(await answer(items) if items else ())
    return [
        refused(refusals[number]) if number in refusals else next(outcomes)
        for number in range(len(messages))
    ]


def _check_count(count: int, what: str, most: int = MAXIMUM_ITEMS) -> None:
    if count > most:
        raise InvalidRequestError(
            f"{count} {what} are more than the {most} that a batch may have",
            field=what,
            count=str(count),
            limit=str(most),
        )


def _refused_grant(refusal: status_pb2.Status) -> pb.GrantResult:
    return pb.GrantResult(refusal=refusal)


def _granted(
    items: Iterable[Any],
    outcomes: Iterable[GrantOutcome],
    count: Callable[[GrantOutcome], None],
) -> list[pb.GrantResult]:
    results = []
    for item, outcome in zip(items, outcomes, strict=True):
        count(outcome)
        if isinstance(outcome, Grant):
            results.append(pb.GrantResult(grant=_grant(outcome)))
        elif isinstance(outcome, LimitReached):
            results.append(pb.GrantResult(refusal=status_of(limit_error(outcome))))
        else:
            results.append(pb.GrantResult(refusal=status_of(grant_error(outcome, item.grant_id))))
    return results


def _grant(grant: Grant) -> pb.Grant:
    return pb.Grant(
        amounts=amounts_message(grant.amounts),
        grant_time=_timestamp(grant.grant_time),
        lease=_duration(grant.lease_seconds) if grant.lease_seconds else None,
        states=[_state(state) for state in grant.states],
    )


def _state(state: LimitState) -> pb.LimitState:
    kind, _, subject_id = state.subject_name.partition("/")
    return pb.LimitState(
        subject=subject_message(Subject(SubjectKind(kind), subject_id)),
        limit=limit_message(state.limit),
        remaining=state.remaining,
        reset=None if state.reset_seconds is None else _duration(state.reset_seconds),
    )


def _settled(settlement: pb.Settlement, booking: Booking) -> pb.SettleResult:
    observation.settled(booking, amounts_of(settlement.overrun))
    return pb.SettleResult(booking=_BOOKINGS[booking])


def _timestamp(milliseconds: int) -> Timestamp:
    seconds, rest = divmod(milliseconds, 1_000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)


def _duration(seconds: float) -> Duration:
    whole, rest = divmod(round(seconds * 1_000), 1_000)
    return Duration(seconds=whole, nanos=rest * 1_000_000)
