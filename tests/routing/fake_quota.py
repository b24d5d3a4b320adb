"""Quota as a plain model: one window for ever, all in memory, scriptable faults."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from routing.fakes import channel_to

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import Enforcement, Limit, LimitKind, Subject
from meshgate.limits.messages import (
    amounts_message,
    amounts_of,
    limit_message,
    subject_message,
    subject_of,
)
from meshgate.runtime.duration import duration
from meshgate.runtime.errors import GatewayError, HoldUnknownError, LimitExceededError
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.service import Implementation
from meshgate.runtime.status import status_of
from meshgate.v1 import limit_pb2, usage_record_pb2
from meshgate.v1 import quota_service_pb2 as pb
from meshgate.v1.quota_service_pb2_grpc import QuotaServiceServicer

QUOTA = pb.DESCRIPTOR.services_by_name["QuotaService"]


@dataclass
class Granted:
    """What was granted and is not settled or given back."""

    subjects: tuple[Subject, ...]
    held: Amounts
    granted: Amounts
    settled: set[int] = field(default_factory=set)


class FakeQuota(QuotaServiceServicer):
    """Grants as long as limits allow it; leases take at most a share of what is left."""

    def __init__(self) -> None:
        self.spent: dict[tuple[str, str], int] = defaultdict(int)
        self.grants: dict[str, Granted] = {}
        self.released: set[str] = set()
        self.records: list[Any] = []
        self.calls: list[str] = []
        self.requests: list[Any] = []
        self.failure: GatewayError | None = None
        self.lost_answers = 0
        self.open = asyncio.Event()
        self.open.set()
        self.lease_share = 64
        self.lease_seconds = 2.0

    def channel(self) -> InProcessChannel:
        return channel_to(Implementation(QUOTA, self, internal=True))

    # ------------------------------------------------------------- what a test looks at

    def used(self, subject: str, limit: str) -> int:
        """Spent and held."""
        return self.spent[subject, limit] + self.held(subject, limit)

    def held(self, subject: str, limit: str) -> int:
        return sum(
            grant.held.of(each.kind)
            for grant in self.grants.values()
            for whose in grant.subjects
            for each in whose.limits
            if (whose.name, each.name) == (subject, limit)
        )

    def count(self, rpc: str) -> int:
        return self.calls.count(rpc)

    # ------------------------------------------------------------- the service

    async def BatchHold(self, request: Any, context: Any) -> Any:
        await self._enter("BatchHold", request)
        results = [self._grant(item, amounts_of(item.amounts)) for item in request.items]
        self._leave()
        return pb.BatchHoldResponse(results=results)

    async def BatchLease(self, request: Any, context: Any) -> Any:
        await self._enter("BatchLease", request)
        results = [self._lease(item) for item in request.items]
        self._leave()
        return pb.BatchLeaseResponse(results=results)

    async def BatchExtend(self, request: Any, context: Any) -> Any:
        await self._enter("BatchExtend", request)
        results = [self._extend(item) for item in request.items]
        self._leave()
        return pb.BatchExtendResponse(results=results)

    async def BatchRelease(self, request: Any, context: Any) -> Any:
        await self._enter("BatchRelease", request)
        for item in request.items:
            self._release(item)
        self._leave()
        return pb.BatchReleaseResponse(results=[pb.ReleaseResult() for _ in request.items])

    async def BatchSettle(self, request: Any, context: Any) -> Any:
        await self._enter("BatchSettle", request)
        results = [
            self._settle(grant, settlement)
            for grant in request.grants
            for settlement in grant.settlements
        ]
        self._leave()
        return pb.BatchSettleResponse(results=results)

    async def _enter(self, rpc: str, request: Any) -> None:
        self.calls.append(rpc)
        self.requests.append(request)
        await self.open.wait()
        if self.failure is not None:
            raise self.failure

    def _leave(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise LostAnswerError("the answer is lost")

    def _lease(self, item: Any) -> Any:
        unit, least = amounts_of(item.unit), amounts_of(item.least)
        units = item.unit_count
        for subject, limit in _limits(item.subjects):
            if unit.of(limit.kind) and limit.enforcement is not Enforcement.SOFT:
                left = limit.amount - self.used(subject.name, limit.name)
                units = min(units, max(0, left) // self.lease_share // unit.of(limit.kind))
        return self._grant(item, least + unit.times(units))

    def _grant(self, item: Any, amounts: Amounts) -> Any:
        if item.grant_id in self.released:
            return pb.GrantResult(refusal=status_of(GatewayError("given back")))
        if item.grant_id not in self.grants:
            for subject, limit in _limits(item.subjects):
                left = limit.amount - self.used(subject.name, limit.name)
                if limit.enforcement is Enforcement.SOFT or amounts.of(limit.kind) <= left:
                    continue
                return pb.GrantResult(refusal=status_of(_refusal(subject, limit, left)))
            subjects = tuple(map(subject_of, item.subjects))
            self.grants[item.grant_id] = Granted(subjects, amounts, amounts)
        grant = pb.Grant(
            amounts=amounts_message(self.grants[item.grant_id].granted),
            lease=duration(self.lease_seconds),
            states=self._states(item.subjects),
        )
        grant.grant_time.GetCurrentTime()
        return pb.GrantResult(grant=grant)

    def _states(self, subjects: Any) -> list[Any]:
        return [
            pb.LimitState(
                subject=limit_pb2.Subject(kind=subject_message(subject).kind, id=subject.id),
                limit=limit_message(limit),
                remaining=limit.amount - self.used(subject.name, limit.name),
                reset=duration(60),
            )
            for subject, limit in _limits(subjects)
            if limit.kind in (LimitKind.REQUESTS, LimitKind.TOKENS)
        ]

    def _extend(self, item: Any) -> Any:
        if item.grant_id not in self.grants:
            return pb.GrantResult(refusal=status_of(HoldUnknownError("no such grant")))
        return pb.GrantResult(grant=pb.Grant())

    def _release(self, item: Any) -> None:
        grant = self.grants.get(item.grant_id)
        if grant is None:
            self.released.add(item.grant_id)
            return
        used = amounts_of(item.used)
        back = grant.granted.minus(used)
        grant.held, grant.granted = grant.held.minus(back), grant.granted.minus(back)

    def _settle(self, settlement: Any, one: Any) -> Any:
        grant = self.grants.setdefault(
            settlement.grant_id,
            Granted(tuple(map(subject_of, settlement.subjects)), NOTHING, NOTHING),
        )
        if one.sequence in grant.settled:
            return pb.SettleResult(booking=pb.BOOKING_REPEATED)
        grant.settled.add(one.sequence)
        grant.held = grant.held.minus(amounts_of(one.held))
        for subject in grant.subjects:
            for limit in subject.limits:
                if limit.kind is not LimitKind.CONCURRENCY:
                    self.spent[subject.name, limit.name] += amounts_of(one.spent).of(limit.kind)
        self.records += usage_record_pb2.UsageRecords.FromString(one.records).records
        return pb.SettleResult(booking=pb.BOOKING_BOOKED)


class LostAnswerError(GatewayError):
    """The call was carried out, and nobody heard of it."""

    code = "UNAVAILABLE"
    reason = "ERROR_REASON_SERVICE_UNAVAILABLE"
    http_status = 503


def _limits(messages: Any) -> list[tuple[Subject, Limit]]:
    return [(whose, limit) for whose in map(subject_of, messages) for limit in whose.limits]


def _refusal(subject: Subject, limit: Limit, left: int) -> LimitExceededError:
    return LimitExceededError(
        f"the limit of {limit.amount} {limit.name} of {subject.name} is reached",
        retry_after_seconds=30,
        limit=limit.name,
        subject=subject.name,
        amount=str(limit.amount),
        remaining=str(left),
        requested="1",
    )
