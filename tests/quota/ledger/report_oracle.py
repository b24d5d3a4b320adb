"""What reports must say: naively, from lines in Python, and by the clock on the wall."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from meshgate.quota.ledger.entries import RECORD_KINDS, Entry
from meshgate.quota.ledger.lines import Line
from meshgate.quota.ledger.reports import Order, ReportQuery, Sums, UsageFilter
from meshgate.quota.ledger.time_buckets import Bucket
from meshgate.v1 import usage_record_pb2 as pb

COUNTS = tuple(field.name for field in fields(Sums))


def tags_of(line: Line) -> dict[str, str]:
    return json.loads(line.tags) if line.tags else {}


def fits(line: Line, wanted: UsageFilter) -> bool:
    return all(getattr(line, dimension.value) == name for dimension, name in wanted.names) and all(
        tags_of(line).get(name) == value for name, value in wanted.tags
    )


def fitting(entries: Iterable[Entry], wanted: UsageFilter) -> Iterator[tuple[Entry, Line]]:
    for entry in entries:
        if wanted.span.start <= entry.booked_time < wanted.span.end:
            for line in entry.lines:
                if fits(line, wanted):
                    yield entry, line


def wall_clock(moment: int, bucket: Bucket, zone: ZoneInfo) -> tuple[int, ...]:
    """What a clock and a calendar show of the stretch that a moment is in."""
    here = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).astimezone(zone)
    match bucket:
        case Bucket.HOUR:
            return (here.year, here.month, here.day, here.hour, here.fold)
        case Bucket.DAY:
            return (here.year, here.month, here.day)
        case Bucket.WEEK:
            return tuple(here.isocalendar())[:2]
        case Bucket.MONTH:
            return (here.year, here.month)


def sums(lines: Iterable[Line]) -> Sums:
    some = list(lines)
    return Sums(*(sum(getattr(line, name) for line in some) for name in COUNTS))


def rank(order: Order, row: Sums) -> int:
    match order:
        case Order.COST:
            return -row.cost_nanos
        case Order.TOKENS:
            return -(row.input_tokens + row.output_tokens)
        case Order.REQUESTS:
            return -row.requests
        case Order.SAVED:
            return -row.saved_cost_nanos
        case Order.NAME:
            return 0


def rows(entries: Iterable[Entry], query: ReportQuery, bucket: Bucket | None, zone: ZoneInfo):
    """Each row as its clock, its names and its sums, in order."""
    groups = defaultdict(list)
    for entry, line in fitting(entries, query.filter):
        clock = wall_clock(entry.booked_time, bucket, zone) if bucket else ()
        names = tuple(getattr(line, dimension.value) for dimension in query.group_by)
        names += tuple(tags_of(line).get(name, "") for name in query.group_by_tags)
        groups[clock, names].append(line)
    found = [(clock, names, sums(lines)) for (clock, names), lines in groups.items()]
    return sorted(found, key=lambda row: (row[0], rank(query.order, row[2]), row[1]))


def records(entries: Iterable[Entry], wanted: UsageFilter) -> list[str]:
    """The ids of the requests that fit, the newest first."""
    ids: dict[str, int] = {}
    for entry, _ in fitting(entries, wanted):
        if entry.kind in RECORD_KINDS:
            record = pb.UsageRecord.FromString(entry.content)
            ids[record.request_id] = entry.booked_time
    return sorted(ids, key=lambda name: -ids[name])
