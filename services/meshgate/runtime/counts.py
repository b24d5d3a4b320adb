"""A Prometheus counter that costs next to nothing to count with."""

from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily


class Count:
    """How often one thing has happened. To be added to from one thread only."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class LabelledCounts:
    """Counts by the values of one label, told from the beginning on.

    Args:
        name: Of the metric.
        documentation: What it tells.
        label: The name of the label.
        registry: Where it is told.
    """

    def __init__(
        self, name: str, documentation: str, label: str, registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._label = label
        self._counts: dict[str, Count] = {}
        registry.register(self)

    def of(self, value: str) -> Count:
        """The count for a value of the label; made at the first call."""
        return self._counts.setdefault(value, Count())

    def collect(self) -> Iterable[CounterMetricFamily]:
        """What Prometheus reads."""
        family = CounterMetricFamily(self._name, self._documentation, labels=[self._label])
        for value, count in list(self._counts.items()):
            family.add_metric([value], count.value)
        return [family]
