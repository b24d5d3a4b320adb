"""Estimates stay within their bounds, and come to the truth."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.tokens.estimating import LEAST_RATIO, MOST_RATIO, MOST_TOKENS, Estimator

numbers = st.integers(-10, 10**9)
lessons = st.lists(st.tuples(numbers, numbers, numbers), max_size=30)
plausible = st.tuples(st.integers(1, 10**6), st.floats(1.0, 20.0)).map(
    lambda pair: (math.ceil(pair[0] * pair[1]), pair[0])
)


def taught(*observations: tuple[int, int, int]) -> Estimator:
    estimator = Estimator()
    for body_bytes, input_tokens, output_tokens in observations:
        estimator.learn("m", body_bytes, input_tokens, output_tokens)
    return estimator


# ------------------------------------------------------------------ before anything was learned


@pytest.mark.parametrize(
    ("body_bytes", "tokens"), [(0, 1), (1, 1), (3, 1), (4, 2), (300, 100), (301, 101)]
)
def test_at_first_three_bytes_are_a_token(body_bytes: int, tokens: int):
    assert Estimator().input_tokens("m", body_bytes) == tokens


def test_at_first_an_answer_is_taken_to_be_of_ordinary_length():
    assert Estimator().output_tokens("m", None) == 384


@pytest.mark.parametrize(("body_bytes", "bound"), [(0, 1), (1, 1), (10, 10), (64 << 20, 64 << 20)])
def test_the_upper_bound_of_a_body_is_its_bytes(body_bytes: int, bound: int):
    assert Estimator().input_upper_bound(body_bytes) == bound


# ------------------------------------------------------------------ whatever was learned


@given(lessons, st.integers(0, 10**8))
def test_an_input_is_estimated_between_one_token_and_the_upper_bound(
    observations: list[tuple[int, int, int]], body_bytes: int
):
    estimator = taught(*observations)

    tokens = estimator.input_tokens("m", body_bytes)

    assert 1 <= tokens <= estimator.input_upper_bound(body_bytes)


@given(lessons, st.none() | st.integers(1, 10**6))
def test_an_output_is_estimated_between_one_token_and_what_the_caller_takes(
    observations: list[tuple[int, int, int]], most: int | None
):
    tokens = taught(*observations).output_tokens("m", most)

    assert tokens >= 1
    assert most is None or tokens <= most


@given(lessons, st.integers(1, 10**6))
def test_a_longer_body_is_never_estimated_lower(
    observations: list[tuple[int, int, int]], body_bytes: int
):
    estimator = taught(*observations)

    assert estimator.input_tokens("m", body_bytes) <= estimator.input_tokens("m", body_bytes + 1)


@given(st.lists(plausible, max_size=20), plausible)
def test_every_lesson_brings_the_ratio_nearer_to_what_was_seen(
    earlier: list[tuple[int, int]], seen: tuple[int, int]
):
    estimator = taught(*((*observed, 1) for observed in earlier))
    body_bytes, input_tokens = seen
    truth = input_tokens / body_bytes * 10**9
    before = estimator.input_tokens("m", 10**9)

    estimator.learn("m", body_bytes, input_tokens, 1)

    after = estimator.input_tokens("m", 10**9)
    assert min(before, truth) - 2 <= after <= max(before, truth) + 2


@given(plausible)
def test_an_estimate_comes_to_what_is_always_seen(seen: tuple[int, int]):
    body_bytes, input_tokens = seen
    estimator = taught(*((body_bytes, input_tokens, 1) for _ in range(500)))

    assert estimator.input_tokens("m", body_bytes) == pytest.approx(input_tokens, rel=0.01, abs=1)


@given(st.integers(1, 10**6))
def test_an_output_comes_to_the_mean_and_half_of_it(output_tokens: int):
    estimator = taught(*((400, 100, output_tokens) for _ in range(500)))

    assert estimator.output_tokens("m", None) == pytest.approx(1.5 * output_tokens, rel=0.01, abs=1)


def test_a_change_is_followed():
    estimator = taught(*((4_000, 1_000, 100) for _ in range(500)))

    for _ in range(200):
        estimator.learn("m", 4_000, 2_000, 1_000)

    assert estimator.input_tokens("m", 4_000) == pytest.approx(2_000, rel=0.01)
    assert estimator.output_tokens("m", None) == pytest.approx(1_500, rel=0.01)


def test_one_huge_body_does_not_drown_ordinary_ones():
    estimator = taught(*((4_000, 1_000, 100) for _ in range(500)))

    estimator.learn("m", 60_000_000, 1_200_000, 100)

    assert estimator.input_tokens("m", 4_000) > 850


def test_small_bodies_do_not_make_large_ones_look_cheap():
    estimator = taught(*(2 * [(100, 9, 1)] + 2 * [(40_000, 10_000, 1)]) * 100)

    assert estimator.input_tokens("m", 40_000) == pytest.approx(10_000, rel=0.05)


# ------------------------------------------------------------------ what is not believed


@pytest.mark.parametrize(
    ("body_bytes", "input_tokens"),
    [
        (400, 0),
        (400, -1),
        (0, 100),
        (-400, 100),
        (400, math.ceil(400 / LEAST_RATIO) + 1),
        (400, math.floor(400 / MOST_RATIO) - 1),
        (10 * MOST_TOKENS, MOST_TOKENS + 1),
    ],
)
def test_an_input_that_cannot_be_is_ignored(body_bytes: int, input_tokens: int):
    estimator = taught((body_bytes, input_tokens, 1_000))

    assert estimator.input_tokens("m", 300) == 100
    assert estimator.output_tokens("m", None) > 384


@pytest.mark.parametrize("output_tokens", [0, -1, MOST_TOKENS + 1])
def test_an_output_that_cannot_be_is_ignored(output_tokens: int):
    estimator = taught((400, 10, output_tokens))

    assert estimator.output_tokens("m", None) == 384
    assert estimator.input_tokens("m", 300) < 100


# ------------------------------------------------------------------ models


def test_models_are_learned_each_by_itself():
    estimator = taught((400, 40, 4_000))

    assert estimator.input_tokens("other", 300) == 100
    assert estimator.output_tokens("other", None) == 384


def test_the_model_not_learned_from_for_longest_is_forgotten():
    estimator = Estimator(most_models=2)
    for model in ("a", "b", "a", "c"):
        estimator.learn(model, 1_000, 100, 100)

    known = [model for model in "abc" if estimator.input_tokens(model, 300) != 100]

    assert known == ["a", "c"]


def test_asking_for_unknown_models_keeps_nothing():
    estimator = Estimator()

    for number in range(100):
        estimator.input_tokens(str(number), 100)
        estimator.output_tokens(str(number), 100)

    assert not estimator._learned
