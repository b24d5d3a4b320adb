import pytest
from bench.figures import Cost, Spread, chunk_us, ratios, spent, spread, stream_us
from hypothesis import given
from hypothesis import strategies as st


def test_a_cost_is_shared_by_the_requests() -> None:
    cost = Cost(1000, {"envoy": 0.1, "python": 0.2})

    assert cost.us_per_request == pytest.approx(300)
    assert cost.us_per_request_of("envoy") == pytest.approx(100)
    assert cost.us_per_request_of("other") == 0


def test_what_is_spent_is_told_by_kind_even_if_a_kind_is_new() -> None:
    assert spent({"envoy": 1.0}, {"envoy": 1.5, "python": 0.25}) == {"envoy": 0.5, "python": 0.25}


@given(base=st.floats(0, 1000), chunk=st.floats(0, 100), requests=st.integers(1, 10_000))
def test_the_slope_finds_the_cost_of_a_chunk_and_what_is_left_is_the_stream(
    base: float, chunk: float, requests: int
) -> None:
    few = Cost(requests, {"envoy": (base + 4 * chunk) * requests / 1e6})
    many = Cost(requests * 2, {"envoy": (base + 44 * chunk) * requests * 2 / 1e6})

    assert chunk_us(few, many) == pytest.approx(chunk, abs=1e-6)
    assert stream_us(few, many) == pytest.approx(base, abs=1e-6)


def test_a_spread_is_median_lowest_and_highest() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([4.0, 2.0]).middle == 3.0


def test_ratios_are_taken_round_by_round() -> None:
    ours = [{"cpu": 30.0}, {"cpu": 80.0}]
    theirs = [{"cpu": 10.0}, {"cpu": 20.0}]

    assert ratios(ours, theirs, "cpu") == [3.0, 4.0]


def test_a_round_without_a_divisor_says_nothing() -> None:
    ours = [{"chunk": 30.0}, {"chunk": 80.0}]
    theirs = [{"chunk": -0.5}, {"chunk": 20.0}]

    assert ratios(ours, theirs, "chunk") == [4.0]
