"""UsageService: messages to questions that the ledger answers, and back."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from meshgate.quota.audit_messages import rebuild_counters, reconcile_usage
from meshgate.quota.ledger.erasing import Erasing
from meshgate.quota.ledger.keeper import Backlog
from meshgate.quota.ledger.reports import (
    Dimension,
    Reporting,
    ReportQuery,
    ReportRow,
    Sums,
    TooManyRowsError,
)
from meshgate.quota.ledger.verification import Verification
from meshgate.quota.upkeep_messages import erase, verify
from meshgate.quota.usage_questions import Questions
from meshgate.runtime.authorization import caller
from meshgate.runtime.errors import (
    FailedPreconditionError,
    InvalidRequestError,
    ServiceUnavailableError,
)
from meshgate.runtime.page_tokens import Seal
from meshgate.v1 import usage_service_pb2 as pb
from meshgate.v1.usage_service_pb2_grpc import UsageServiceServicer

if TYPE_CHECKING:
    # They speak SQL, which a service without a ledger does not load.
    from meshgate.quota.ledger.rebuilding import Rebuilding
    from meshgate.quota.ledger.reconciliation import Reconciliation

_FIELDS = {
    Dimension.ORGANIZATION: "organization_id",
    Dimension.TEAM: "team_id",
    Dimension.USER: "user_id",
    Dimension.KEY: "key_id",
    Dimension.MODEL: "model",
    Dimension.TARGET: "target",
}


class Ledger(Struct, frozen=True):
    """What answers.

    Attributes:
        reports: Sums and single requests.
        verification: Looks for tampering.
        erasing: Erases on demand.
        reconciliation: Names counters that do not hold what the books say.
        rebuilding: Makes counters again.
        backlog: Tells what waits to be written.
    """

    reports: Reporting
    verification: Verification
    erasing: Erasing
    reconciliation: "Reconciliation"
    rebuilding: "Rebuilding"
    backlog: Callable[[], Awaitable[Backlog]]


class UsageServicer(UsageServiceServicer):
    """Tells what was used, and keeps the ledger honest.

    Args:
        ledger: What answers; None where there is none, and everything is refused.
        seal: Signs page tokens.
        now: Microseconds since the epoch.
    """

    def __init__(self, ledger: Ledger | None, seal: Seal, now: Callable[[], int]) -> None:
        self._kept = ledger
        self._questions = Questions(seal)
        self._now = now

    async def QueryUsage(
        self, request: pb.QueryUsageRequest, context: Any
    ) -> pb.QueryUsageResponse:
        question = self._questions.of_report(request, caller(), self._now())
        # Before the ledger is read: what comes meanwhile may be in the sums or not.
        complete_until = await self._complete_until()
        try:
            report = await self._ledger.reports.report(question.query)
        except TooManyRowsError:
            raise InvalidRequestError(
                "group_by: there are too many rows: group by less, or ask for less time or for a "
                "part of the usage",
                field="group_by",
            ) from None
        response = pb.QueryUsageResponse(
            rows=[_row(question.query, row) for row in report.rows],
            next_page_token=self._questions.token_for_rows(question, report.next),
        )
        if report.total is not None:
            response.total.CopyFrom(_sums(report.total))
        if complete_until is not None:
            response.ledger_time.FromMicroseconds(complete_until)
        return response

    async def ListUsageRecords(
        self, request: pb.ListUsageRecordsRequest, context: Any
    ) -> pb.ListUsageRecordsResponse:
        question = self._questions.of_records(request, caller(), self._now())
        page = await self._ledger.reports.records(question.query)
        return pb.ListUsageRecordsResponse(
            records=page.records,
            next_page_token=self._questions.token_for_records(question, page.next),
        )

    async def VerifyUsage(
        self, request: pb.VerifyUsageRequest, context: Any
    ) -> pb.VerifyUsageResponse:
        return await verify(self._ledger.verification, request)

    async def ReconcileUsage(
        self, request: pb.ReconcileUsageRequest, context: Any
    ) -> pb.ReconcileUsageResponse:
        return await reconcile_usage(self._ledger.reconciliation, request)

    async def RebuildCounters(
        self, request: pb.RebuildCountersRequest, context: Any
    ) -> pb.RebuildCountersResponse:
        return await rebuild_counters(self._ledger.rebuilding, request)

    async def EraseUsage(
        self, request: pb.EraseUsageRequest, context: Any
    ) -> pb.EraseUsageResponse:
        return await erase(self._ledger.erasing, request, caller().principal_id)

    @property
    def _ledger(self) -> Ledger:
        if self._kept is None:
            raise FailedPreconditionError(
                "there is no ledger: set LEDGER_DATABASE_URL for quota, and run `meshgate migrate`"
            )
        return self._kept

    async def _complete_until(self) -> int | None:
        """All that had ended by then is in the ledger; None where the store cannot tell."""
        now = self._now()
        try:
            backlog = await self._ledger.backlog()
        except ServiceUnavailableError:
            return None
        return now - round(backlog.age_seconds * 1_000_000)


def _row(query: ReportQuery, row: ReportRow) -> pb.UsageRow:
    names: Any = {_FIELDS[by]: name for by, name in zip(query.group_by, row.names, strict=True)}
    message = pb.UsageRow(
        **names,
        tags=dict(zip(query.group_by_tags, row.tags, strict=True)),
        sums=_sums(row.sums),
    )
    if row.start is not None:
        message.start_time.FromMicroseconds(row.start)
    return message


def _sums(sums: Sums) -> pb.UsageSums:
    return pb.UsageSums(**asdict(sums))
