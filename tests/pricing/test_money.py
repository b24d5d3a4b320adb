from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.pricing.money import ImpossibleAmountError, nanos_of_usd, usd_of_nanos


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-0", 0),
        ("12", 12_000_000_000),
        ("12.50", 12_500_000_000),
        (".5", 500_000_000),
        ("0.000000001", 1),
        ("0.0000000010000000000", 1),
        ("8999999.123456789", 8_999_999_123_456_789),
        ("9000000", 9_000_000_000_000_000),
    ],
)
def test_an_amount_is_exact(text, expected):
    assert nanos_of_usd(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "must be an amount in USD"),
        ("twelve", "must be an amount in USD"),
        ("12 USD", "must be an amount in USD"),
        ("1,000", "must be an amount in USD"),
        ("1e3", "must be an amount in USD"),
        ("nan", "must be an amount in USD"),
        ("Infinity", "must be an amount in USD"),
        ("\u0661", "must be an amount in USD"),
        ("1" * 401, "must be an amount in USD"),
        ("-0.01", "less than nothing"),
        ("9000000.000000001", "more than 9,000,000 USD"),
        ("1" * 400, "more than 9,000,000 USD"),
        ("0.0000000001", "more than 9 decimals"),
        ("0." + "0" * 390 + "1", "more than 9 decimals"),
    ],
)
def test_what_is_no_amount_is_refused_with_what_to_do(text, expected):
    with pytest.raises(ImpossibleAmountError, match=expected):
        nanos_of_usd(text)


@given(st.integers(0, 9_000_000_000_000_000))
def test_every_number_of_nano_dollars_can_be_written(nanos):
    assert nanos_of_usd(format(Decimal(nanos).scaleb(-9), "f")) == nanos


@given(st.text(alphabet="0123456789.+-eE _n", max_size=12))
def test_any_text_is_an_amount_or_refused(text):
    with suppress(ImpossibleAmountError):
        assert 0 <= nanos_of_usd(text) <= 9_000_000_000_000_000


@pytest.mark.parametrize(
    ("nanos", "expected"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (120_000, "0.00012"),
        (500_000_000, "0.5"),
        (10_000_000_000, "10"),
        (12_500_000_000, "12.5"),
        (9_000_000_000_000_001, "9000000.000000001"),
        (-120_000, "-0.00012"),
        (-3_000_000_000, "-3"),
    ],
)
def test_nano_dollars_are_written_exactly(nanos, expected):
    assert usd_of_nanos(nanos) == expected


@given(st.integers(0, 9_000_000_000_000_000))
def test_what_is_written_is_read_again(nanos):
    assert nanos_of_usd(usd_of_nanos(nanos)) == nanos
