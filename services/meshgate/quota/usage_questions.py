"""What a caller may ask of the ledger: messages to queries, checked and kept to what it reaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.protobuf.message import Message

from meshgate.quota.ledger.reports import (
    Dimension,
    Order,
    RecordPosition,
    RecordQuery,
    ReportPosition,
    ReportQuery,
    UsageFilter,
)
from meshgate.quota.ledger.time_buckets import Bucket, Span, TooManyBucketsError, starts
from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.page_tokens import Seal, SealedPositions, page_size
from meshgate.runtime.permissions import Caller, Reach
from meshgate.v1 import usage_service_pb2 as pb

MOST_BUCKETS = 1_000
_PERMISSION = "usage.read"
_USUAL_DAYS = 30
_DAY = 86_400_000_000
# From 2000 to 2200, in microseconds: no zone has anything to say beyond it.
_EARLIEST, _LATEST = 946_684_800_000_000, 7_258_118_400_000_000
_MOST_TAGS, _MOST_GROUP_TAGS = 16, 4
_LONGEST_NAME = 512
_SHOWN_CHARACTERS = 100
_USUAL_ROWS, _LARGEST_ROWS = 100, 10_000
_USUAL_RECORDS, _LARGEST_RECORDS = 100, 1_000

_NAMES = {
    "organization_id": Dimension.ORGANIZATION,
    "team_id": Dimension.TEAM,
    "user_id": Dimension.USER,
    "key_id": Dimension.KEY,
    "model": Dimension.MODEL,
    "target": Dimension.TARGET,
}
_DIMENSIONS: Mapping[int, Dimension] = {
    pb.USAGE_DIMENSION_ORGANIZATION: Dimension.ORGANIZATION,
    pb.USAGE_DIMENSION_TEAM: Dimension.TEAM,
    pb.USAGE_DIMENSION_USER: Dimension.USER,
    pb.USAGE_DIMENSION_KEY: Dimension.KEY,
    pb.USAGE_DIMENSION_MODEL: Dimension.MODEL,
    pb.USAGE_DIMENSION_TARGET: Dimension.TARGET,
}
_BUCKETS: Mapping[int, Bucket | None] = {
    pb.TIME_BUCKET_UNSPECIFIED: None,
    pb.TIME_BUCKET_HOUR: Bucket.HOUR,
    pb.TIME_BUCKET_DAY: Bucket.DAY,
    pb.TIME_BUCKET_WEEK: Bucket.WEEK,
    pb.TIME_BUCKET_MONTH: Bucket.MONTH,
}
_ORDERS: Mapping[int, Order] = {
    pb.USAGE_ORDER_UNSPECIFIED: Order.COST,
    pb.USAGE_ORDER_COST: Order.COST,
    pb.USAGE_ORDER_TOKENS: Order.TOKENS,
    pb.USAGE_ORDER_REQUESTS: Order.REQUESTS,
    pb.USAGE_ORDER_SAVED: Order.SAVED,
    pb.USAGE_ORDER_NAME: Order.NAME,
}

M = TypeVar("M", bound=Message)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class ReportQuestion:
    """What sums are asked for.

    Attributes:
        query: As the ledger is asked.
        identity: What must stay the same from page to page.
    """

    query: ReportQuery
    identity: object


@dataclass(frozen=True, slots=True)
class RecordQuestion:
    """Which requests are asked for; likewise."""

    query: RecordQuery
    identity: object


class Questions:
    """Makes queries of messages, and page tokens.

    Args:
        seal: Signs the tokens.
    """

    def __init__(self, seal: Seal) -> None:
        # A row may have ten names of 2,000 characters.
        self._rows = SealedPositions(seal, ReportPosition, most_characters=64_000)
        self._records = SealedPositions(seal, RecordPosition)

    def of_report(self, request: pb.QueryUsageRequest, who: Caller, now: int) -> ReportQuestion:
        """The query.

        Raises:
            InvalidRequestError: It asks for what there is not.
        """
        identity = ("report", _scope(who), _but_the_page(request))
        after = self._rows.position(identity, request.page_token)
        span = Span(*after.span) if after else _span(request.filter, now)
        query = ReportQuery(
            filter=_filter(request.filter, span, who),
            group_by=_dimensions(request.group_by),
            group_by_tags=_tag_names(request.group_by_tags),
            starts=_starts(request, span),
            order=_chosen(_ORDERS, request.order_by, "order_by"),
            size=page_size(request.page_size, _USUAL_ROWS, _LARGEST_ROWS),
            after=after,
        )
        return ReportQuestion(query, identity)

    def of_records(
        self, request: pb.ListUsageRecordsRequest, who: Caller, now: int
    ) -> RecordQuestion:
        """The query. Raises as `of_report`."""
        identity = ("records", _scope(who), _but_the_page(request))
        after = self._records.position(identity, request.page_token)
        span = Span(*after.span) if after else _span(request.filter, now)
        query = RecordQuery(
            filter=_filter(request.filter, span, who),
            request_id=_name(request.request_id, "request_id"),
            size=page_size(request.page_size, _USUAL_RECORDS, _LARGEST_RECORDS),
            after=after,
        )
        return RecordQuestion(query, identity)

    def token_for_rows(self, question: ReportQuestion, after: ReportPosition | None) -> str:
        """The token of the next page; empty if there is none."""
        return self._rows.token(question.identity, after) if after else ""

    def token_for_records(self, question: RecordQuestion, after: RecordPosition | None) -> str:
        """Likewise."""
        return self._records.token(question.identity, after) if after else ""


def _scope(who: Caller) -> tuple[tuple[Dimension, str], ...]:
    """What all that the caller is told of must be of."""
    organization = (Dimension.ORGANIZATION, who.organization_id)
    match who.reach(_PERMISSION):
        case Reach.EVERYTHING:
            return ()
        case Reach.ORGANIZATION:
            return (organization,)
        case Reach.TEAM:
            return (organization, (Dimension.TEAM, who.team_id))


def _but_the_page(request: M) -> bytes:
    """All but where it is."""
    question = type(request)()
    question.CopyFrom(request)
    question.ClearField("page_token")
    question.ClearField("page_size")
    return question.SerializeToString(deterministic=True)


def _filter(wanted: pb.UsageFilter, span: Span, who: Caller) -> UsageFilter:
    named = ((_NAMES[field], _name(getattr(wanted, field), f"filter.{field}")) for field in _NAMES)
    if len(wanted.tags) > _MOST_TAGS:
        raise InvalidRequestError(
            f"filter.tags: there are {len(wanted.tags)}, and at most {_MOST_TAGS} are allowed",
            field="filter.tags",
        )
    return UsageFilter(
        span,
        (*_scope(who), *((dimension, name) for dimension, name in named if name)),
        tuple(_tag(tag) for tag in wanted.tags),
    )


def _tag(text: str) -> tuple[str, str]:
    name, equals, value = _name(text, "filter.tags").partition("=")
    if not (name and equals):
        raise InvalidRequestError(
            f"filter.tags: {text[:_SHOWN_CHARACTERS]!r} is no tag: write it name=value",
            field="filter.tags",
        )
    return name, value


def _name(text: str, field: str) -> str:
    if len(text) > _LONGEST_NAME:
        raise InvalidRequestError(
            f"{field}: it has {len(text)} characters, and no name has more than {_LONGEST_NAME}",
            field=field,
        )
    return text


def _span(wanted: pb.UsageFilter, now: int) -> Span:
    end = _moment(wanted, "end_time") if wanted.HasField("end_time") else now
    start = (
        _moment(wanted, "start_time")
        if wanted.HasField("start_time")
        else max(end - _USUAL_DAYS * _DAY, _EARLIEST)
    )
    if start >= end:
        raise InvalidRequestError(
            "filter.start_time: it is not before the end: nothing was used in no time",
            field="filter.start_time",
        )
    return Span(start, end)


def _moment(wanted: pb.UsageFilter, field: str) -> int:
    stated = getattr(wanted, field)
    moment: int = stated.seconds * 1_000_000 + stated.nanos // 1_000
    if not _EARLIEST <= moment <= _LATEST:
        raise InvalidRequestError(
            f"filter.{field}: it must lie between 2000 and 2200", field=f"filter.{field}"
        )
    return moment


def _dimensions(stated: Sequence[int]) -> tuple[Dimension, ...]:
    if len(set(stated)) < len(stated):
        raise InvalidRequestError("group_by: one of them is there twice", field="group_by")
    return tuple(_chosen(_DIMENSIONS, number, "group_by") for number in stated)


def _tag_names(stated: Sequence[str]) -> tuple[str, ...]:
    field = "group_by_tags"
    if len(stated) > _MOST_GROUP_TAGS:
        raise InvalidRequestError(
            f"{field}: there are {len(stated)}, and at most {_MOST_GROUP_TAGS} are allowed",
            field=field,
        )
    if not all(stated) or len(set(stated)) < len(stated):
        raise InvalidRequestError(f"{field}: one is empty, or there twice", field=field)
    return tuple(_name(name, field) for name in stated)


def _chosen(table: Mapping[int, V], number: Any, field: str) -> V:
    if number not in table:
        raise InvalidRequestError(f"{field}: {number} stands for nothing", field=field)
    return table[number]


def _starts(request: pb.QueryUsageRequest, span: Span) -> tuple[int, ...]:
    zone = _zone(request.time_zone)
    bucket = _chosen(_BUCKETS, request.bucket, "bucket")
    if bucket is None:
        return ()
    try:
        return starts(span, bucket, zone, MOST_BUCKETS)
    except TooManyBucketsError:
        raise InvalidRequestError(
            f"bucket: there are more than {MOST_BUCKETS} of them from start to end: ask for less "
            "time, or longer ones",
            field="bucket",
        ) from None


def _zone(name: str) -> ZoneInfo:
    shown = name[:_SHOWN_CHARACTERS]
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequestError(
            f"time_zone: {shown!r} is no time zone: use a name such as Europe/Berlin",
            field="time_zone",
            time_zone=shown,
        ) from None
