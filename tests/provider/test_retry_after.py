from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.provider.retry_after import LONGEST_SECONDS, read_retry_after

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("milliseconds", "seconds_or_date", "expected"),
    [
        ("", "", None),
        ("", "2", 2.0),
        ("", " 1.5 ", 1.5),
        ("250", "2", 0.25),
        ("soon", "2", 2.0),
        ("", "Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("", "Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("", "Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_SECONDS),
        ("", "1e300", LONGEST_SECONDS),
        ("", "-5", None),
        ("", "inf", None),
        ("", "nan", None),
        ("", "tomorrow", None),
    ],
)
def test_what_upstreams_write_is_read(milliseconds, seconds_or_date, expected):
    assert read_retry_after(milliseconds, seconds_or_date, now=NOW) == expected


@given(st.text(), st.text())
def test_whatever_they_write_it_is_none_or_bounded(milliseconds, seconds_or_date):
    seconds = read_retry_after(milliseconds, seconds_or_date, now=NOW)

    assert seconds is None or 0 <= seconds <= LONGEST_SECONDS
