"""Stretches of time, where clocks are moved and where they are not."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quota.ledger.report_oracle import wall_clock

from meshgate.quota.ledger.time_buckets import (
    Bucket,
    Span,
    TooManyBucketsError,
    microseconds,
    moment_of,
    starts,
)

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe"]
HOUR = 3_600_000_000


def at(*when, zone=UTC):
    return microseconds(datetime(*when, tzinfo=zone))


def hours_between(found):
    return [(later - earlier) // HOUR for earlier, later in pairwise(found)]


def test_the_day_on_which_clocks_are_set_back_has_25_hours():
    span = Span(at(2026, 10, 24, 12, zone=BERLIN), at(2026, 10, 27, zone=BERLIN))

    found = starts(span, Bucket.DAY, BERLIN, 10)

    assert found[0] == at(2026, 10, 23, 22)
    assert hours_between(found) == [24, 25]


def test_the_hour_that_comes_twice_is_two_stretches():
    span = Span(at(2026, 10, 25, zone=BERLIN), at(2026, 10, 26, zone=BERLIN))

    found = starts(span, Bucket.HOUR, BERLIN, 100)

    assert len(found) == 25
    assert [moment_of(start).astimezone(BERLIN).hour for start in found[:5]] == [0, 1, 2, 2, 3]


def test_a_day_without_a_midnight_begins_when_clocks_go_on():
    sao_paulo = ZoneInfo("America/Sao_Paulo")
    span = Span(at(2018, 11, 3, 12), at(2018, 11, 6, 12))

    found = starts(span, Bucket.DAY, sao_paulo, 10)

    assert hours_between(found) == [24, 23, 24]
    assert moment_of(found[1]).astimezone(sao_paulo).hour == 1


def test_months_begin_on_the_first_and_weeks_on_monday():
    span = Span(at(2026, 1, 31, 23, 30), at(2026, 3, 2))

    months = starts(span, Bucket.MONTH, ZoneInfo("UTC"), 10)
    weeks = starts(span, Bucket.WEEK, ZoneInfo("UTC"), 10)

    assert months == (at(2026, 1, 1), at(2026, 2, 1), at(2026, 3, 1))
    assert {moment_of(start).weekday() for start in weeks} == {0}
    assert weeks[0] == at(2026, 1, 26)


def test_more_stretches_than_allowed_are_refused():
    span = Span(at(2026, 1, 1), at(2026, 1, 3))

    with pytest.raises(TooManyBucketsError):
        starts(span, Bucket.HOUR, ZoneInfo("UTC"), 47)


@given(
    begin=st.integers(at(2000, 1, 1), at(2030, 1, 1)),
    hours=st.integers(0, 900),
    bucket=st.sampled_from(list(Bucket)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    inside=st.floats(0, 1, exclude_max=True),
)
def test_every_moment_is_in_the_stretch_that_the_clock_shows(begin, hours, bucket, zone, inside):
    span = Span(begin, begin + hours * HOUR + 1)
    moment = begin + int((span.end - begin) * inside)

    found = starts(span, bucket, zone, 10_000)

    assert found[0] <= begin
    assert sorted(set(found)) == list(found)
    start = max(start for start in found if start <= moment)
    if bucket is not Bucket.HOUR:
        assert wall_clock(start, bucket, zone) == wall_clock(moment, bucket, zone)
    else:
        assert moment - start < 2 * HOUR
