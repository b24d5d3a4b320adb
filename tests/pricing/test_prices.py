from dataclasses import FrozenInstanceError, replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.pricing.cost import cost_nanos
from meshgate.pricing.prices import Prices

USD = 1_000_000_000
DEAR = Prices(
    input_nanos=5 * USD,
    cached_input_nanos=USD // 2,
    cache_creation_nanos=6_250_000_000,
    output_nanos=25 * USD,
)

NANOS = st.integers(0, 9_000_000 * USD)
TOKENS = st.integers(0, 2**31 - 1)
PRICES = st.builds(Prices, NANOS, NANOS, NANOS, NANOS)


@st.composite
def uses(draw):
    """Tokens as a provider counts them: the parts are within the whole."""
    cached, creation, plain, output = (draw(TOKENS) for _ in range(4))
    return (plain + cached + creation, cached, creation, output)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        # 6 plain, 159,217 written to the cache, 2,745 output: 1.06376125 USD.
        ((159_223, 0, 159_217, 2_745), 1_063_761_250),
        ((0, 0, 0, 0), 0),
        ((1_000_000, 0, 0, 0), 5 * USD),
        ((1_000_000, 1_000_000, 0, 0), USD // 2),
        ((1_000_000, 400_000, 100_000, 0), 2_500_000_000 + 200_000_000 + 625_000_000),
        ((0, 0, 0, 1), 25_000),
    ],
)
def test_a_charge_costs_what_is_known(tokens, expected):
    assert cost_nanos(DEAR, *tokens) == expected


def test_what_is_left_of_a_nano_dollar_is_rounded_up_once_for_the_whole_charge():
    prices = Prices(1, 1, 1, 1)

    assert cost_nanos(prices, 3, 1, 1, 1) == 1
    assert cost_nanos(prices, 1_000_000, 0, 0, 0) == 1
    assert cost_nanos(prices, 1_000_000, 0, 0, 1) == 2


def test_parts_that_are_more_than_the_whole_are_paid_for_as_far_as_the_whole_goes():
    assert cost_nanos(DEAR, 10, 1_000_000, 0, 0) == 10 * 500
    assert cost_nanos(DEAR, 10, 8, 7, 0) == 7 * 6_250 + 3 * 500


@given(PRICES, uses())
def test_a_cost_is_exact_but_for_less_than_a_nano_dollar_upwards(prices, use):
    total, cached, creation, output = use
    exact = (
        Fraction((total - cached - creation) * prices.input_nanos, 1_000_000)
        + Fraction(cached * prices.cached_input_nanos, 1_000_000)
        + Fraction(creation * prices.cache_creation_nanos, 1_000_000)
        + Fraction(output * prices.output_nanos, 1_000_000)
    )

    assert 0 <= cost_nanos(prices, *use) - exact < 1


@given(PRICES, uses(), uses())
def test_more_tokens_never_cost_less(prices, use, more):
    together = [one + other for one, other in zip(use, more, strict=True)]

    assert cost_nanos(prices, *together) >= cost_nanos(prices, *use)


@given(PRICES, uses(), st.integers(0, USD))
def test_a_higher_price_never_costs_less(prices, use, rise):
    dearer = replace(prices, output_nanos=prices.output_nanos + rise)

    assert cost_nanos(dearer, *use) >= cost_nanos(prices, *use)


def test_the_version_tells_prices_apart():
    versions = {
        DEAR.version,
        replace(DEAR, input_nanos=1).version,
        replace(DEAR, cached_input_nanos=1).version,
        replace(DEAR, cache_creation_nanos=1).version,
        replace(DEAR, output_nanos=1).version,
    }

    assert len(versions) == 5
    assert replace(DEAR).version == DEAR.version
    assert len(DEAR.version) == 12


def test_the_version_stays_what_it_was_in_earlier_releases():
    assert Prices(150_000_000, 75_000_000, 150_000_000, 600_000_000).version == "f7519f537a5a"


def test_prices_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        DEAR.input_nanos = 1
