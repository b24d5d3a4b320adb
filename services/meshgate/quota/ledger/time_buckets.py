"""Hours, days, weeks and months as a time zone has them, in microseconds since the epoch."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Bucket(enum.Enum):
    """How long a stretch of time is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment on, up to and without another, both in microseconds since the epoch."""

    start: int
    end: int


class TooManyBucketsError(Exception):
    """There are more stretches than were allowed."""


def starts(span: Span, bucket: Bucket, zone: ZoneInfo, most: int) -> tuple[int, ...]:
    """Where the stretches begin that a span touches; the first may begin before it.

    Hours are the clock's: where it is set back, the hour that comes twice is two stretches.

    Raises:
        TooManyBucketsError: There are more than `most`.
    """
    found: list[int] = []
    for start in _starts(span, bucket, zone):
        if len(found) == most:
            raise TooManyBucketsError
        found.append(start)
    return tuple(found)


def _starts(span: Span, bucket: Bucket, zone: ZoneInfo) -> Iterator[int]:
    """Each once, in order: a clock that is set back leads to no stretch a second time."""
    moments = _hours if bucket is Bucket.HOUR else _dates
    last = None
    for start, following in _pairs(moments(span, bucket, zone)):
        if following <= span.start or start == last:
            continue
        if start >= span.end:
            return
        yield start
        last = start


def _pairs(moments: Iterator[int]) -> Iterator[tuple[int, int]]:
    start = next(moments)
    for following in moments:
        if following > start:
            yield start, following
            start = following


def _hours(span: Span, _bucket: Bucket, zone: ZoneInfo) -> Iterator[int]:
    """Full hours of the clock, from before the span on."""
    # By quarters: no clock of today is off by less, and after a change of half an hour the next
    # hour is found.
    quarter = timedelta(minutes=15)
    moment = _EPOCH + timedelta(seconds=span.start // 1_000_000 // 900 * 900) - timedelta(hours=2)
    while True:
        if moment.astimezone(zone).minute == 0:
            yield microseconds(moment)
        moment += quarter


def _dates(span: Span, bucket: Bucket, zone: ZoneInfo) -> Iterator[int]:
    """Midnights, or what is the first moment of a day that has none."""
    here = moment_of(span.start).astimezone(zone)
    day = _first_of(bucket, datetime(here.year, here.month, here.day))  # noqa: DTZ001 - on the wall
    while True:
        yield microseconds(day.replace(tzinfo=zone))
        day = _next(bucket, day)


def _first_of(bucket: Bucket, day: datetime) -> datetime:
    if bucket is Bucket.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if bucket is Bucket.MONTH else day


def _next(bucket: Bucket, day: datetime) -> datetime:
    match bucket:
        case Bucket.WEEK:
            return day + timedelta(days=7)
        case Bucket.MONTH:
            return (day + timedelta(days=31)).replace(day=1)
        case _:
            return day + timedelta(days=1)


def moment_of(time: int) -> datetime:
    """The moment that microseconds tell."""
    return _EPOCH + timedelta(microseconds=time)


def microseconds(moment: datetime) -> int:
    """What tells a moment."""
    return (moment - _EPOCH) // _MICROSECOND
