"""Reports: what may be asked of the ledger, and what comes of it. Times are in microseconds."""

import enum
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from meshgate.quota.ledger.time_buckets import Span
from meshgate.v1 import usage_record_pb2


class TooManyRowsError(Exception):
    """There are more combinations than one report may have."""


class Dimension(enum.Enum):
    """What usage can be told apart by: a column of the lines."""

    ORGANIZATION = "organization"
    TEAM = "team"
    USER = "user"
    KEY = "key"
    MODEL = "model"
    TARGET = "target"


class Order(enum.Enum):
    """What comes first."""

    COST = "cost"
    TOKENS = "tokens"
    REQUESTS = "requests"
    SAVED = "saved"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which usage is meant: that which fits everything.

    Attributes:
        span: When it was booked.
        names: What it must be of. The same dimension may be there twice: nothing fits two names.
        tags: What it must be tagged with.
    """

    span: Span
    names: tuple[tuple[Dimension, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


class ReportPosition(msgspec.Struct, frozen=True, array_like=True):
    """The last row of a page, and what must stay as it was on the first.

    Attributes:
        span: Start and end: who gave none means those of the first page.
        bucket: The row's stretch of time, by its number.
        rank: What it is ordered by: the less the earlier.
        names: Its names, then the values of its tags.
    """

    span: tuple[int, int]
    bucket: int
    rank: int
    names: tuple[str, ...]


class RecordPosition(msgspec.Struct, frozen=True, array_like=True):
    """The last record of a page, and what must stay as it was on the first."""

    span: tuple[int, int]
    booked_time: int
    shard: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportQuery:
    """What sums are asked for.

    Attributes:
        filter: Of which usage.
        group_by: By what.
        group_by_tags: And by the values of these tags.
        starts: Where stretches of time begin; none where all of it is one.
        order: What comes first within a stretch.
        size: How many rows a page has.
        after: The last row of the page before.
    """

    filter: UsageFilter
    group_by: tuple[Dimension, ...] = ()
    group_by_tags: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()
    order: Order = Order.COST
    size: int = 100
    after: ReportPosition | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """What was used; named as in the table of lines, and as the contract has it."""

    requests: int = 0
    cache_hits: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanos: int = 0
    unpriced_charges: int = 0
    estimated_charges: int = 0
    saved_cost_nanos: int = 0
    saved_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One combination.

    Attributes:
        start: Of its stretch of time; None where there is only one.
        names: In the order of `group_by`; empty for none.
        tags: In the order of `group_by_tags`; empty for none.
        sums: What was used.
    """

    start: int | None
    names: tuple[str, ...]
    tags: tuple[str, ...]
    sums: Sums


@dataclass(frozen=True, slots=True)
class Report:
    """A page of sums.

    Attributes:
        rows: In order.
        next: After which row the next page begins; None at the end.
        total: Of all pages; None on all but the first.
    """

    rows: tuple[ReportRow, ...]
    next: ReportPosition | None
    total: Sums | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """Which single requests are asked for.

    Attributes:
        filter: Of which usage.
        request_id: Only what the client or the gateway named so; empty for all.
        size: How many a page has.
        after: The last of the page before.
    """

    filter: UsageFilter
    request_id: str = ""
    size: int = 100
    after: RecordPosition | None = None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A page of records, the newest first; `next` is None at the end."""

    records: tuple[usage_record_pb2.UsageRecord, ...] = field(repr=False)
    next: RecordPosition | None


class Reporting(Protocol):
    """Answers what is asked of the ledger.

    Both raise ServiceUnavailableError where it cannot be read.
    """

    async def report(self, query: ReportQuery) -> Report:
        """A page of sums.

        Raises:
            TooManyRowsError: There are too many of them, on all pages together.
        """
        ...

    async def records(self, query: RecordQuery) -> RecordPage:
        """A page of single requests."""
        ...
