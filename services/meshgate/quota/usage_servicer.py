"""UsageService: messages to questions that the ledger answers, and back."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, NoReturn

from meshgate.quota.ledger.keeper import Backlog
from meshgate.quota.ledger.reports import (
    Dimension,
    RecordPage,
    RecordQuery,
    Report,
    Reporting,
    ReportQuery,
    ReportRow,
    Sums,
    TooManyRowsError,
)
from meshgate.quota.usage_questions import Questions
from meshgate.runtime.authorization import caller
from meshgate.runtime.errors import (
    FailedPreconditionError,
    GatewayError,
    InvalidRequestError,
    ServiceUnavailableError,
)
from meshgate.runtime.page_tokens import Seal
from meshgate.v1 import usage_service_pb2 as pb
from meshgate.v1.usage_service_pb2_grpc import UsageServiceServicer

_FIELDS = {
    Dimension.ORGANIZATION: "organization_id",
    Dimension.TEAM: "team_id",
    Dimension.USER: "user_id",
    Dimension.KEY: "key_id",
    Dimension.MODEL: "model",
    Dimension.TARGET: "target",
}


class NotServedError(GatewayError):
    """The contract has the RPC, and this version does not serve it."""

    code = "UNIMPLEMENTED"
    reason = "ERROR_REASON_UNSUPPORTED"
    http_status = 501


class NoLedger:
    """A `Reporting` where there is no ledger."""

    async def report(self, _query: ReportQuery) -> Report:
        self._refuse()

    async def records(self, _query: RecordQuery) -> RecordPage:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise FailedPreconditionError(
            "there is no ledger: set LEDGER_DATABASE_URL for quota, and run `meshgate migrate`"
        )


class UsageServicer(UsageServiceServicer):
    """Tells what was used.

    Args:
        reports: What the ledger answers.
        backlog: What waits for the ledger.
        seal: Signs page tokens.
        now: Microseconds since the epoch.
    """

    def __init__(
        self,
        reports: Reporting,
        backlog: Callable[[], Awaitable[Backlog]],
        seal: Seal,
        now: Callable[[], int],
    ) -> None:
        self._reports = reports
        self._backlog = backlog
        self._questions = Questions(seal)
        self._now = now

    async def QueryUsage(
        self, request: pb.QueryUsageRequest, context: Any
    ) -> pb.QueryUsageResponse:
        question = self._questions.of_report(request, caller(), self._now())
        # Before the ledger is read: what comes meanwhile may be in the sums or not.
        complete_until = await self._complete_until()
        try:
            report = await self._reports.report(question.query)
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
        page = await self._reports.records(question.query)
        return pb.ListUsageRecordsResponse(
            records=page.records,
            next_page_token=self._questions.token_for_records(question, page.next),
        )

    # Not served yet; whoever serves one takes it out of here.

    async def VerifyUsage(
        self, request: pb.VerifyUsageRequest, context: Any
    ) -> pb.VerifyUsageResponse:
        _not_served("VerifyUsage")

    async def ReconcileUsage(
        self, request: pb.ReconcileUsageRequest, context: Any
    ) -> pb.ReconcileUsageResponse:
        _not_served("ReconcileUsage")

    async def RebuildCounters(
        self, request: pb.RebuildCountersRequest, context: Any
    ) -> pb.RebuildCountersResponse:
        _not_served("RebuildCounters")

    async def EraseUsage(
        self, request: pb.EraseUsageRequest, context: Any
    ) -> pb.EraseUsageResponse:
        _not_served("EraseUsage")

    async def _complete_until(self) -> int | None:
        """All that had ended by then is in the ledger; None where the store cannot tell."""
        now = self._now()
        try:
            backlog = await self._backlog()
        except ServiceUnavailableError:
            return None
        return now - round(backlog.age_seconds * 1_000_000)


def _not_served(rpc: str) -> NoReturn:
    raise NotServedError(f"{rpc} is not served by this version", rpc=rpc)


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
