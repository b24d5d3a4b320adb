"""Which targets a request may go to, and in what order."""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from meshgate.config.snapshot import Model, Snapshot, Target
from meshgate.runtime.errors import ModelNotFoundError

Draw = Callable[[], float]
"""A number from 0 up to 1."""


class Plan(Struct, frozen=True):
    """The targets of one model, in the order in which they are to be tried."""

    model: Model
    targets: tuple[Target, ...]


class Planner:
    """Makes plans from one state of the configuration.

    Args:
        snapshot: The configuration.
        draw: The source of chance.
    """

    def __init__(self, snapshot: Snapshot, draw: Draw = random.random) -> None:
        self._snapshot = snapshot
        self._draw = draw

    def plan(self, name: str) -> Plan:
        """The plan for a model.

        Raises:
            ModelNotFoundError: No such model is configured.
        """
        model = served(self._snapshot, name)
        if len(model.targets) == 1:
            return Plan(model, model.targets)
        return Plan(model, _ORDERS[model.strategy](model.targets, self._draw))

    def plans(self, name: str) -> Iterator[Plan]:
        """The plan for a model, and then those of its fallbacks and theirs, each model once.

        Raises:
            ModelNotFoundError: No such model is configured.
        """
        todo, seen = [name], {name}
        while todo:
            plan = self.plan(todo.pop(0))
            yield plan
            for fallback in plan.model.fallbacks:
                if fallback not in seen:
                    seen.add(fallback)
                    todo.append(fallback)


def served(snapshot: Snapshot, name: str) -> Model:
    """The model of that name.

    Raises:
        ModelNotFoundError: No such model is configured.
    """
    model = snapshot.models.get(name)
    if model is None:
        name = name[:200]
        raise ModelNotFoundError(
            f"the model {name!r} does not exist; GET /v1/models lists those that do", model=name
        )
    return model


def as_written(targets: Sequence[Target], _draw: Draw) -> tuple[Target, ...]:
    """In the order of the configuration."""
    return tuple(targets)


def by_weight(targets: Sequence[Target], draw: Draw) -> tuple[Target, ...]:
    """The lowest priority number first; among equals at random, by weight.

    Drawn without replacement: each waits an exponential time with its weight as the rate, and the
    first comes first (Efraimidis and Spirakis, 2006; by logarithms, since u^(1/w) is 0 for small w).
    """
    keys = [(target.priority, -math.log(1 - draw()) / target.weight) for target in targets]
    order = sorted(range(len(targets)), key=keys.__getitem__)
    return tuple(targets[index] for index in order)


_ORDERS: Mapping[str, Callable[[Sequence[Target], Draw], tuple[Target, ...]]] = {
    "priority": as_written,
    "weighted": by_weight,
}
