"""Limits that contradict each other: two that count the same, two opinions on one target.

Reads the values as they are written, as `references` does, and each entry on its own: so that what
is wrong with one does not hide what is wrong with another.
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from meshgate.config.composition import Composition
from meshgate.config.limit_schema import LimitsSection
from meshgate.config.problems import FieldPath, Problem, written
from meshgate.config.stated_limits import stated_limits
from meshgate.limits.limit import Limit

# `*` stands for any name or place in a list.
_SECTIONS: tuple[FieldPath, ...] = (
    ("limits", "default"),
    ("limits", "shared"),
    ("limits", "tags", "*"),
    ("models", "*", "limits"),
    ("models", "*", "targets", "*", "limits"),
    ("keys", "*", "limits"),
)


def doubled_limits(composition: Composition) -> list[Problem]:
    """Each limit of the same kind, window and mode as one before it in its section."""
    return [
        problem
        for pattern in _SECTIONS
        for path, section in _found(composition.value, pattern)
        for problem in _doubled(composition, path, section)
    ]


def differing_targets(composition: Composition) -> Iterator[Problem]:
    """Targets whose limits are not what was said of the same target before."""
    seen: dict[tuple[str, str], tuple[FieldPath, frozenset[Limit]]] = {}
    for path, target in _found(composition.value, ("models", "*", "targets", "*")):
        if not isinstance(target, dict):
            continue
        provider, model = target.get("provider"), target.get("model") or path[1]
        limits = frozenset(limit for _, limit in _limits(target.get("limits")))
        if isinstance(provider, str) and isinstance(model, str) and limits:
            where = (*path, "limits")
            first, stated = seen.setdefault((provider, model), (where, limits))
            if stated != limits:
                place = composition.place(first)
                sentence = (
                    f"differs from what {place.file}:{place.line} says of the same target, "
                    f"{provider}/{model}: state its limits in one place"
                )
                yield composition.problem(where, sentence)


def _doubled(composition: Composition, path: FieldPath, section: Any) -> Iterator[Problem]:
    seen: dict[Any, FieldPath] = {}
    for step, limit in _limits(section):
        where = (*path, *step)
        first = seen.setdefault((limit.kind, limit.unit, limit.mode), where)
        if first != where:
            place = composition.place(first)
            mode = f" ({limit.mode.value})" if limit.mode else ""
            sentence = (
                f"limits {limit.name}{mode} a second time: `{written(first[len(path) :])}` in "
                f"{place.file}:{place.line} does too; remove one of them"
            )
            yield composition.problem(where, sentence)


def _limits(section: Any) -> Iterator[tuple[FieldPath, Limit]]:
    for step, entry in _entries(section):
        try:
            stated = LimitsSection.model_validate_json(json.dumps(entry))
        except ValidationError:
            continue
        for limit in stated_limits(stated):
            yield step, limit


def _entries(section: Any) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    """Each limit of a section as a section of its own, with its place in this one."""
    for field, value in section.items() if isinstance(section, dict) else ():
        if isinstance(value, list):
            for at, item in enumerate(value):
                yield (field, at), {field: [item]}
        else:
            yield (field,), {field: value}


def _found(value: Any, pattern: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    """What stands at the paths that the pattern fits."""
    if not pattern:
        yield (), value
        return
    for step, inner in _steps(value):
        if pattern[0] in ("*", step):
            for path, found in _found(inner, pattern[1:]):
                yield (step, *path), found


def _steps(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)
