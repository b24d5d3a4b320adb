"""Limits and the subjects that they apply to."""

import enum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

LARGEST_AMOUNT = 2**53 - 1
"""The largest number that Redis counts exactly."""
LARGEST_COST_NANOS = 9_000_000 * 10**9
"""9,000,000 USD, which lies below it."""


class LimitKind(enum.Enum):
    """What a limit counts. Costs are in nano-dollars."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    COST = "cost"
    CONCURRENCY = "concurrency"


class WindowUnit(enum.Enum):
    """How long a window is. A rolling month has 30 days."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class WindowMode(enum.Enum):
    """How windows follow each other: up to now, or from one full unit to the next."""

    ROLLING = "rolling"
    CALENDAR = "calendar"


class Enforcement(enum.Enum):
    """What happens at a limit; see limit.proto."""

    NORMAL = "normal"
    STRICT = "strict"
    SOFT = "soft"


class SubjectKind(enum.Enum):
    """A kind of thing that limits apply to."""

    KEY = "key"
    USER = "user"
    TEAM = "team"
    ORGANIZATION = "organization"
    MODEL = "model"
    TARGET = "target"
    TAG = "tag"
    EVERYONE = "everyone"


_SHORT_UNITS = frozenset({WindowUnit.SECOND, WindowUnit.MINUTE, WindowUnit.HOUR})


class ImpossibleLimitError(ValueError):
    """The limit contradicts itself.

    Args:
        sentence: Says what to do.
        field: The field of the limit that is at fault, if it is one.
    """

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


class Limit(Struct, frozen=True):
    """A bound on one thing over one window.

    Attributes:
        kind: What is counted.
        amount: How much is allowed in a window, from 0 on; nano-dollars for costs.
        unit: The length of the window; None for concurrency, which has none.
        mode: How windows follow each other; None for concurrency and `total`.
        time_zone: The IANA name of the zone in which calendar windows begin.
        enforcement: What happens at the limit.
    """

    kind: LimitKind
    amount: int
    unit: WindowUnit | None = None
    mode: WindowMode | None = None
    time_zone: str = "UTC"
    enforcement: Enforcement = Enforcement.NORMAL

    @classmethod
    def of(
        cls,
        kind: LimitKind,
        amount: int,
        unit: WindowUnit | None = None,
        mode: WindowMode | None = None,
        time_zone: str = "",
        enforcement: Enforcement = Enforcement.NORMAL,
    ) -> "Limit":
        """A limit that was checked, with what is usual for what was left out.

        Raises:
            ImpossibleLimitError: There can be no such limit.
        """
        _check_amount(kind, amount)
        if kind is LimitKind.CONCURRENCY:
            if unit is not None or mode is not None:
                raise ImpossibleLimitError(
                    "a limit on concurrency has no window: remove it", "unit" if unit else "mode"
                )
            return cls(kind, amount, enforcement=enforcement)
        if unit is None:
            raise ImpossibleLimitError(
                f"a limit on {kind.value} needs a window: say per what", "unit"
            )
        if unit is WindowUnit.TOTAL:
            if mode is not None:
                raise ImpossibleLimitError(
                    f"a total has no {mode.value} window: remove that", "mode"
                )
            if time_zone:
                raise ImpossibleLimitError(
                    "a total is the same in every time zone: remove it", "time_zone"
                )
            return cls(kind, amount, unit, enforcement=enforcement)
        mode = mode or _usual_mode(unit)
        _check_zone(mode, time_zone)
        return cls(kind, amount, unit, mode, time_zone or "UTC", enforcement)

    @property
    def name(self) -> str:
        """What people call it: `requests/minute`, `concurrency`."""
        return self.kind.value if self.unit is None else f"{self.kind.value}/{self.unit.value}"


class Subject(Struct, frozen=True):
    """One thing that limits apply to; see limit.proto for the form of each `id`."""

    kind: SubjectKind
    id: str
    limits: tuple[Limit, ...] = ()

    @property
    def name(self) -> str:
        """Its kind and id: `key/k_123`, `everyone`."""
        return f"{self.kind.value}/{self.id}" if self.id else self.kind.value


def _usual_mode(unit: WindowUnit) -> WindowMode:
    return WindowMode.ROLLING if unit in _SHORT_UNITS else WindowMode.CALENDAR


def _check_amount(kind: LimitKind, amount: int) -> None:
    if amount < 0:
        raise ImpossibleLimitError(
            f"{amount} is less than nothing: use 0 to allow nothing", "amount"
        )
    if kind is LimitKind.COST and amount > LARGEST_COST_NANOS:
        raise ImpossibleLimitError("more than 9,000,000 USD cannot be counted exactly", "amount")
    if amount > LARGEST_AMOUNT:
        raise ImpossibleLimitError(
            f"more than {LARGEST_AMOUNT} cannot be counted exactly", "amount"
        )


def _check_zone(mode: WindowMode, name: str) -> None:
    if not name:
        return
    if mode is WindowMode.ROLLING:
        raise ImpossibleLimitError(
            "a rolling window is the same in every time zone: remove it", "time_zone"
        )
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ImpossibleLimitError(
            f"{name[:100]!r} is no time zone: use a name such as Europe/Berlin", "time_zone"
        ) from None
