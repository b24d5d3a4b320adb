import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.config.duration import seconds_of, written


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300ms", 0.3), ("2s", 2.0), ("1.5s", 1.5), ("5m", 300.0), ("1h", 3600.0), ("30d", 2592000.0)],
)
def test_a_number_and_its_unit_are_seconds(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", 5, 5.0, True, None, "-1s", "1 s", "1w", "1h30m", "٣s"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="a number and its unit"):
        seconds_of(text)


@given(st.integers(0, 10_000_000))
def test_a_duration_is_written_as_it_is_read(milliseconds):
    seconds = milliseconds / 1000

    assert seconds_of(written(seconds)) == pytest.approx(seconds, rel=1e-9)
