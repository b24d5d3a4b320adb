"""A Prometheus counter that costs next to nothing to count with."""

from collections.abc import Iterable, Sequence

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily

from meshgate.runtime.series import MOST_SERIES, BoundedSeries


class Count:
    """How often, or how much, one thing has happened. To be added to from one thread only."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class LabelledCounts(BoundedSeries[Count]):
    """Counts by the values of one label or of several, told from the beginning on.

    Args:
        name: Of the metric.
        documentation: What it tells.
        label: The name of the label, or those of the labels.
        registry: Where it is told.
        most: How many combinations of labels there may be.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        label: str | Sequence[str],
        registry: CollectorRegistry = REGISTRY,
        most: int = MOST_SERIES,
    ) -> None:
        super().__init__(Count, most)
        self._name = name
        self._documentation = documentation
        self._labels = [label] if isinstance(label, str) else list(label)
        registry.register(self)

    def collect(self) -> Iterable[CounterMetricFamily]:
        """What Prometheus reads."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in self.series():
            family.add_metric(values, count.value)
        return [family]
