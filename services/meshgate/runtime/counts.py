"""A Prometheus counter that costs next to nothing to count with."""

from collections.abc import Iterable, Sequence

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily

from meshgate.runtime.durations import OTHER

_MOST_LABELS = 2000


class Count:
    """How often, or how much, one thing has happened. To be added to from one thread only."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class LabelledCounts:
    """Counts by the values of one label or of several, told from the beginning on.

    However many values there are, it does not grow without end: what comes when there are too many
    is told together, as `other`.

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
        most: int = _MOST_LABELS,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = [label] if isinstance(label, str) else list(label)
        self._most = most
        self._counts: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def of(self, *values: str) -> Count:
        """The count for these values of the labels; made at the first call."""
        found = self._counts.get(values)
        if found is None:
            if len(self._counts) >= self._most:
                values = (OTHER,) * len(values)
            found = self._counts.setdefault(values, Count())
        return found

    def collect(self) -> Iterable[CounterMetricFamily]:
        """What Prometheus reads."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in list(self._counts.items()):
            family.add_metric(list(values), count.value)
        return [family]
