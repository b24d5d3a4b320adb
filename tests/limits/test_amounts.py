"""Amounts, and pools that they are taken from."""

from hypothesis import given
from hypothesis import strategies as st

from meshgate.limits.amounts import NOTHING, Amounts, Pool
from meshgate.limits.limit import LimitKind
from meshgate.limits.messages import amounts_message, amounts_of

SMALL = st.integers(0, 9)
AMOUNTS = st.builds(Amounts, SMALL, SMALL, SMALL, SMALL, SMALL)


def test_each_kind_of_limit_counts_its_own() -> None:
    amounts = Amounts(1, 2, 3, 4, 5)

    counted = {kind: amounts.of(kind) for kind in LimitKind}

    assert counted == {
        LimitKind.REQUESTS: 1,
        LimitKind.TOKENS: 5,
        LimitKind.INPUT_TOKENS: 2,
        LimitKind.OUTPUT_TOKENS: 3,
        LimitKind.COST: 4,
        LimitKind.CONCURRENCY: 5,
    }


def test_so_many_together_are_so_many_times_as_much() -> None:
    assert Amounts(1, 2, 3, 4, 5).times(3) == Amounts(3, 6, 9, 12, 15)


@given(AMOUNTS, AMOUNTS)
def test_what_is_taken_away_and_what_is_left_sum_up(one: Amounts, other: Amounts) -> None:
    assert one.minus(other) + one.at_most(other) == one


@given(AMOUNTS, AMOUNTS)
def test_one_covers_another_if_nothing_of_it_is_more(one: Amounts, other: Amounts) -> None:
    assert one.covers(other) == (other.minus(one) == NOTHING)


@given(AMOUNTS)
def test_messages_hold_all_of_it(amounts: Amounts) -> None:
    assert amounts_of(amounts_message(amounts)) == amounts


@given(AMOUNTS, AMOUNTS)
def test_a_pool_gives_all_or_nothing(there: Amounts, wanted: Amounts) -> None:
    pool = Pool.of(there)

    given_ = pool.take(wanted)

    assert given_ == there.covers(wanted)
    assert pool.amounts == (there.minus(wanted) if given_ else there)


@given(AMOUNTS, AMOUNTS)
def test_what_is_put_into_a_pool_is_in_it(there: Amounts, more: Amounts) -> None:
    pool = Pool.of(there)

    pool.put(more)

    assert pool.amounts == there + more
