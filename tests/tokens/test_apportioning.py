"""Shares add up to the whole, whatever the weights."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.tokens.apportioning import apportioned

weights = st.lists(st.integers(1, 10**9), min_size=1, max_size=50)


@given(st.integers(0, 10**15), weights)
def test_the_shares_add_up_to_the_total(total: int, weights: list[int]):
    assert sum(apportioned(total, weights)) == total


@given(st.integers(0, 10**15), weights)
def test_each_share_is_less_than_one_away_from_its_exact_one(total: int, weights: list[int]):
    shares = apportioned(total, weights)

    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(total * weight, sum(weights))) < 1


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [(5, [1, 1], [3, 2]), (10, [1, 2, 7], [1, 2, 7]), (1, [1, 5, 1], [0, 1, 0]), (0, [3], [0])],
)
def test_the_largest_remainder_gets_what_is_left(total: int, weights: list[int], shares: list[int]):
    assert apportioned(total, weights) == shares
