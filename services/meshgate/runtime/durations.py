"""A Prometheus histogram that costs a fraction of the library's own to observe."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily

from meshgate.runtime.series import MOST_SERIES, BoundedSeries

BOUNDS_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)


class Durations:
    """The durations, or other amounts, of one kind of thing. To be observed from one thread only.

    Args:
        bounds: Of the buckets, in ascending order.
    """

    __slots__ = ("_bounds", "_counts", "_seconds")

    def __init__(self, bounds: Sequence[float] = BOUNDS_SECONDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Take note of one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    @property
    def seconds(self) -> float:
        """How long they were together."""
        return self._seconds

    def buckets(self) -> list[tuple[str, float]]:
        """How many were at most so long, for each bound, as Prometheus wants it."""
        names = [str(float(bound)) for bound in self._bounds] + ["+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))


class DurationHistogram(BoundedSeries[Durations]):
    """Durations by the values of labels; those that were never observed are not told.

    Args:
        name: Of the metric, with its unit.
        documentation: What it tells.
        labels: The names of its labels.
        registry: Where it is told.
        bounds: Of the buckets, in ascending order.
        most: How many combinations of labels there may be.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        registry: CollectorRegistry = REGISTRY,
        bounds: Sequence[float] = BOUNDS_SECONDS,
        most: int = MOST_SERIES,
    ) -> None:
        super().__init__(partial(Durations, bounds), most)
        self._name = name
        self._documentation = documentation
        self._label_names = labels
        registry.register(self)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """What Prometheus reads."""
        family = HistogramMetricFamily(
            self._name, self._documentation, labels=list(self._label_names)
        )
        for values, durations in self.series():
            if durations.count:
                family.add_metric(values, durations.buckets(), durations.seconds)
        return [family]
