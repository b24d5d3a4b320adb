"""What is told to Prometheus by the cheap histogram and the cheap counter."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from meshgate.runtime.counts import LabelledCounts
from meshgate.runtime.durations import BOUNDS_SECONDS, DurationHistogram


def told(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#") and "_created" not in line]


@given(st.lists(st.sampled_from(BOUNDS_SECONDS) | st.floats(0, 400), min_size=1))
def test_durations_are_told_as_by_the_librarys_own_histogram(seconds: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = DurationHistogram("took_seconds", "So long.", ("rpc",), ours).of("Chat")
    other = Histogram(
        "took_seconds", "So long.", ["rpc"], buckets=BOUNDS_SECONDS, registry=theirs
    ).labels("Chat")

    for each in seconds:
        histogram.observe(each)
        other.observe(each)

    assert sorted(told(ours)) == sorted(told(theirs))


def test_what_was_never_observed_is_not_told() -> None:
    registry = CollectorRegistry()
    histogram = DurationHistogram("took_seconds", "So long.", ("rpc",), registry)

    histogram.of("Chat")

    assert told(registry) == []


def test_when_there_are_too_many_labels_the_rest_is_told_together() -> None:
    registry = CollectorRegistry()
    histogram = DurationHistogram(
        "used_tokens", "So many.", ("provider", "model"), registry, bounds=(1, 4), most=1
    )
    counts = LabelledCounts("cost", "So much.", ("provider", "model"), registry, most=1)

    for model in ("m", "n", "o"):
        histogram.of("one", model).observe(2)
        counts.of("one", model).value += 0.5

    lines = told(registry)
    assert 'used_tokens_bucket{le="1.0",model="m",provider="one"} 0.0' in lines
    assert 'used_tokens_count{model="other",provider="other"} 2.0' in lines
    assert 'cost_total{model="m",provider="one"} 0.5' in lines
    assert 'cost_total{model="other",provider="other"} 1.0' in lines


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def counts(registry: CollectorRegistry) -> LabelledCounts:
    return LabelledCounts("let_in", "How many.", "outcome", registry)


def test_counts_are_told_by_label_from_the_beginning_on(
    counts: LabelledCounts, registry: CollectorRegistry
) -> None:
    counts.of("taken").value += 2
    counts.of("asked")

    assert told(registry) == [
        'let_in_total{outcome="taken"} 2.0',
        'let_in_total{outcome="asked"} 0.0',
    ]


def test_the_same_label_is_the_same_count(counts: LabelledCounts) -> None:
    same: Callable[[], object] = lambda: counts.of("taken")  # noqa: E731

    assert same() is same()
