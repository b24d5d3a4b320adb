from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.limits.limit import Limit, LimitKind, WindowMode, WindowUnit
from meshgate.quota.windows import bucket_width, calendar_bounds, identity

HOUR = 3_600_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Havana",
    "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Apia")  # fmt: skip
CALENDAR_UNITS = [unit for unit in WindowUnit if unit is not WindowUnit.TOTAL]


def at(text: str, zone: str, fold: int = 0) -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(local.timestamp()) * 1_000


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        (WindowUnit.SECOND, "2026-11-18T13:14:15", "2026-11-18T13:14:16"),
        (WindowUnit.MINUTE, "2026-11-18T13:14:00", "2026-11-18T13:15:00"),
        (WindowUnit.HOUR, "2026-11-18T13:00:00", "2026-11-18T14:00:00"),
        (WindowUnit.DAY, "2026-11-18T00:00:00", "2026-11-19T00:00:00"),
        (WindowUnit.WEEK, "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
        (WindowUnit.MONTH, "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
    ],
)
def test_a_window_goes_from_one_full_unit_to_the_next(unit, start, end):
    bounds = calendar_bounds(unit, "Asia/Kathmandu", at("2026-11-18T13:14:15", "Asia/Kathmandu"))

    assert (bounds.start, bounds.end) == (at(start, "Asia/Kathmandu"), at(end, "Asia/Kathmandu"))


def test_december_is_followed_by_january():
    bounds = calendar_bounds(WindowUnit.MONTH, "UTC", at("2026-12-31T23:59:59", "UTC"))

    assert bounds.end == at("2027-01-01T00:00:00", "UTC")
    assert bounds.previous == at("2026-11-01T00:00:00", "UTC")


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_the_day_on_which_the_clock_is_changed_has_23_or_25_hours(day, hours):
    bounds = calendar_bounds(WindowUnit.DAY, "Europe/Berlin", at(f"{day}T12:00", "Europe/Berlin"))

    assert bounds.end - bounds.start == hours * HOUR


def test_an_hour_that_comes_twice_is_two_hours():
    first = calendar_bounds(
        WindowUnit.HOUR, "Europe/Berlin", at("2026-10-25T02:30", "Europe/Berlin")
    )
    second = calendar_bounds(
        WindowUnit.HOUR, "Europe/Berlin", at("2026-10-25T02:30", "Europe/Berlin", fold=1)
    )

    assert first.end == second.start == first.start + HOUR
    assert second.end == second.start + HOUR


def test_a_day_whose_midnight_is_passed_over_begins_when_the_clock_jumps():
    bounds = calendar_bounds(WindowUnit.DAY, "Africa/Cairo", at("2026-04-24T12:00", "Africa/Cairo"))

    assert bounds.start == at("2026-04-24T01:00", "Africa/Cairo")
    assert bounds.end == at("2026-04-25T00:00", "Africa/Cairo")


@given(
    unit=st.sampled_from(CALENDAR_UNITS),
    zone=st.sampled_from(ZONES),
    moment=st.integers(at("2005-01-01", "UTC"), at("2040-01-01", "UTC")),
)
def test_windows_follow_each_other_without_a_gap(unit, zone, moment):
    bounds = calendar_bounds(unit, zone, moment)

    assert bounds.previous < bounds.start <= moment < bounds.end
    assert calendar_bounds(unit, zone, bounds.end).start == bounds.end
    assert calendar_bounds(unit, zone, bounds.start) == bounds
    assert calendar_bounds(unit, zone, bounds.end - 1) == bounds


@pytest.mark.parametrize("moment", [-(10**18), 0, 10**18])
def test_moments_beyond_all_calendars_are_in_the_first_or_the_last_window(moment):
    assert calendar_bounds(WindowUnit.MONTH, "America/New_York", moment).end


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        (Limit.of(LimitKind.CONCURRENCY, 3), "concurrency"),
        (Limit.of(LimitKind.COST, 3, WindowUnit.TOTAL), "cost/total"),
        (Limit.of(LimitKind.REQUESTS, 3, WindowUnit.MINUTE), "requests/minute/rolling"),
        (
            Limit.of(LimitKind.TOKENS, 3, WindowUnit.DAY, time_zone="Europe/Berlin"),
            "tokens/day/calendar/Europe/Berlin",
        ),
        (
            Limit.of(LimitKind.REQUESTS, 3, WindowUnit.HOUR, WindowMode.CALENDAR),
            "requests/hour/calendar/UTC",
        ),
    ],
)
def test_a_counter_is_named_by_what_it_counts_and_not_by_the_amount(limit, name):
    assert identity(limit) == name


def test_a_rolling_window_is_counted_in_tenths():
    assert bucket_width(WindowUnit.SECOND) == 100
    assert bucket_width(WindowUnit.MONTH) == 3 * 24 * HOUR
