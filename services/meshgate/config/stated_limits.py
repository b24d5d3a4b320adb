"""The limits that a section of the file states."""

from collections.abc import Iterator

from meshgate.config.limit_schema import KINDS, BudgetSection, LimitsSection, WindowSection
from meshgate.limits.limit import Enforcement, Limit, LimitKind, WindowMode, WindowUnit


def stated_limits(section: LimitsSection) -> tuple[Limit, ...]:
    """All of them, in the order of the schema."""
    return (
        *_short(section),
        *(_budget(budget) for budget in section.budget),
        *(_window(window) for window in section.windows),
    )


def _short(section: LimitsSection) -> Iterator[Limit]:
    enforcement = Enforcement(section.enforce or "normal")
    for kind, amount, unit in (
        (LimitKind.REQUESTS, section.rpm, WindowUnit.MINUTE),
        (LimitKind.TOKENS, section.tpm, WindowUnit.MINUTE),
        (LimitKind.CONCURRENCY, section.concurrency, None),
    ):
        if amount is not None:
            yield Limit.of(kind, amount, unit, enforcement=enforcement)


def _budget(section: BudgetSection) -> Limit:
    return Limit.of(
        LimitKind.COST,
        section.usd,
        WindowUnit(section.per),
        time_zone=section.time_zone or "",
        enforcement=Enforcement(section.enforce),
    )


def _window(section: WindowSection) -> Limit:
    return Limit.of(
        KINDS[section.count],
        section.limit,
        WindowUnit(section.per),
        WindowMode(section.window) if section.window else None,
        section.time_zone or "",
        Enforcement(section.enforce),
    )
