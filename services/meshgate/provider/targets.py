"""How upstreams fared last."""

import enum
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from meshgate.provider.failures import OF_THE_REQUEST, FailureKind

MAXIMUM_TARGETS = 10_000


class TargetName(NamedTuple):
    """One upstream and its model."""

    provider: str
    model: str


class TargetHealth(enum.Enum):
    """How an upstream fares."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    FAILING = "failing"


class TargetStatus(NamedTuple):
    """How one target fares; `last_failure` goes with FAILING."""

    name: TargetName
    health: TargetHealth
    last_failure: FailureKind | None


class Targets:
    """Remembers how the last attempt at each target ended, of so many targets at most.

    Who asks for models that no configuration names cannot make it grow without end: what was heard
    of least recently is forgotten.
    """

    def __init__(self, maximum: int = MAXIMUM_TARGETS) -> None:
        self._maximum = maximum
        self._last: OrderedDict[TargetName, FailureKind | None] = OrderedDict()

    def answered(self, provider: str, model: str) -> None:
        """Take note of an attempt that was answered."""
        self._note(TargetName(provider, model), None)

    def failed(self, provider: str, model: str, kind: FailureKind) -> None:
        """Take note of an attempt that failed. A refused request is an answer, too."""
        self._note(TargetName(provider, model), None if kind in OF_THE_REQUEST else kind)

    def page(
        self, configured: Iterable[TargetName], after: TargetName | None, size: int
    ) -> list[TargetStatus]:
        """The next `size` targets in the order of their names, configured or tried."""
        names = sorted({*configured, *self._last})
        if after is not None:
            names = [name for name in names if name > after]
        return [self._status(name) for name in names[:size]]

    def forget(self, providers: Iterable[str]) -> None:
        """Forget the targets of providers that have changed, or gone."""
        changed = set(providers)
        for name in [name for name in self._last if name.provider in changed]:
            del self._last[name]

    def _note(self, name: TargetName, kind: FailureKind | None) -> None:
        self._last[name] = kind
        self._last.move_to_end(name)
        if len(self._last) > self._maximum:
            self._last.popitem(last=False)

    def _status(self, name: TargetName) -> TargetStatus:
        if name not in self._last:
            return TargetStatus(name, TargetHealth.UNKNOWN, None)
        kind = self._last[name]
        health = TargetHealth.HEALTHY if kind is None else TargetHealth.FAILING
        return TargetStatus(name, health, kind)
