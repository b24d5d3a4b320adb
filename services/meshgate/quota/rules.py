"""Limits as the scripts count them: those of a subject that share a counter are one rule."""

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from meshgate.limits.limit import (
    Enforcement,
    Limit,
    LimitKind,
    Subject,
    WindowMode,
    WindowUnit,
)
from meshgate.quota.windows import bucket_width, identity

NO_LIMIT = -1
AT_ONCE, ROLLING, CALENDAR, TOTAL = range(4)
_KINDS = {
    LimitKind.REQUESTS: 1,
    LimitKind.INPUT_TOKENS: 2,
    LimitKind.OUTPUT_TOKENS: 3,
    LimitKind.COST: 4,
    LimitKind.CONCURRENCY: 5,
    LimitKind.TOKENS: 6,
}
_REMEMBERED = 20_000


class Rule(Struct, frozen=True):
    """What stays the same of a rule, whatever the time.

    Attributes:
        identity: Names the counter.
        kind: What is counted, as a number.
        mode: How windows follow each other, as a number.
        width: Of a bucket of a rolling window, in milliseconds; else 0.
        hard: The smallest amount that is not soft; NO_LIMIT for none.
        strict: 1 where that one is strict.
        softs: The amounts of soft limits.
        window: The unit and zone of a calendar window.
    """

    identity: str
    kind: int
    mode: int
    width: int
    hard: int
    strict: int
    softs: tuple[int, ...]
    window: tuple[WindowUnit, str] | None


@lru_cache(_REMEMBERED)
def rules_of(subject: Subject) -> tuple[Rule, ...]:
    """The rules of a subject."""
    by_identity: dict[str, list[Limit]] = {}
    for limit in subject.limits:
        by_identity.setdefault(identity(limit), []).append(limit)
    return tuple(_rule(name, limits) for name, limits in by_identity.items())


@lru_cache(_REMEMBERED)
def limit_of(name: str, amount: int, strict: int) -> Limit:
    """The limit that a counter's identity and an amount stand for."""
    enforcement = Enforcement.STRICT if strict else Enforcement.NORMAL
    kind, _, window = name.partition("/")
    if not window:
        return Limit(LimitKind(kind), amount, enforcement=enforcement)
    unit, _, rest = window.partition("/")
    mode, _, zone = rest.partition("/")
    return Limit(
        LimitKind(kind),
        amount,
        WindowUnit(unit),
        WindowMode(mode) if mode else None,
        zone or "UTC",
        enforcement,
    )


def calendar_of(name: str) -> tuple[WindowUnit, str]:
    """The unit and zone of a calendar window, by its counter's identity."""
    limit = limit_of(name, 0, 0)
    if limit.unit is None:
        raise ValueError(f"{name} has no window")
    return limit.unit, limit.time_zone


def _rule(name: str, limits: Iterable[Limit]) -> Rule:
    hard = [limit for limit in limits if limit.enforcement is not Enforcement.SOFT]
    tightest = min(hard, key=lambda limit: limit.amount, default=None)
    first = next(iter(limits))
    mode = _mode(first)
    rolls = first.unit is not None and mode == ROLLING
    return Rule(
        identity=name,
        kind=_KINDS[first.kind],
        mode=mode,
        width=bucket_width(first.unit) if first.unit and rolls else 0,
        hard=tightest.amount if tightest else NO_LIMIT,
        strict=int(any(limit.enforcement is Enforcement.STRICT for limit in hard)),
        softs=tuple({limit.amount for limit in limits if limit.enforcement is Enforcement.SOFT}),
        window=(first.unit, first.time_zone) if first.unit and mode == CALENDAR else None,
    )


def _mode(limit: Limit) -> int:
    if limit.unit is None:
        return AT_ONCE
    if limit.mode is None:
        return TOTAL
    return ROLLING if limit.mode is WindowMode.ROLLING else CALENDAR
