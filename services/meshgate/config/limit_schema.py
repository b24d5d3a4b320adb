"""What may be written under `limits:`, and under that of keys, models and targets."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, PlainValidator, ValidationInfo, field_validator, model_validator

from meshgate.config.fields import (
    MONEY_SCHEMA,
    Section,
    TagPair,
    Usd,
    WholeNumber,
    one_or_more,
    usd_nanos,
)
from meshgate.limits.limit import Limit, LimitKind, WindowMode, WindowUnit

Counted: TypeAlias = Literal["requests", "tokens", "input_tokens", "output_tokens", "usd"]
Unit: TypeAlias = Literal["second", "minute", "hour", "day", "week", "month", "total"]
Mode: TypeAlias = Literal["rolling", "calendar"]
Enforce: TypeAlias = Literal["strict", "normal", "soft"]

KINDS: dict[Counted, LimitKind] = {
    "requests": LimitKind.REQUESTS,
    "tokens": LimitKind.TOKENS,
    "input_tokens": LimitKind.INPUT_TOKENS,
    "output_tokens": LimitKind.OUTPUT_TOKENS,
    "usd": LimitKind.COST,
}
# Half of what a subject may have: a key has its own limits and those of `limits.default`.
MAXIMUM_LIMITS = 16

_ENFORCE = (
    "What happens at the limit. `strict`: requests are refused, and held at the most that they may "
    "need. `normal`: requests are refused, and held at what they are likely to need. `soft`: "
    "nothing is refused, passing the limit is told once in a window."
)


def _stated_amount(value: object, info: ValidationInfo) -> int:
    """The amount in the unit of what is counted: nano-dollars for `usd`."""
    counted: Counted | None = info.data.get("count")
    if counted == "usd":
        return usd_nanos(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic reports ValueErrors only
    return Limit.of(LimitKind.REQUESTS, value, WindowUnit.TOTAL).amount


StatedAmount = Annotated[int, PlainValidator(_stated_amount), MONEY_SCHEMA]


def _check_window(info: ValidationInfo, mode: Mode | None, zone: str | None = None) -> None:
    """Refuse a window that there cannot be, as far as the fields before it are known."""
    Limit.of(
        LimitKind.REQUESTS,
        0,
        WindowUnit(info.data.get("per", "day")),
        WindowMode(mode) if mode else None,
        zone or "",
    )


class BudgetSection(Section):
    """Money that may be spent in a window: a day and longer by the calendar, shorter ones rolling."""

    usd: Usd = Field(description="How much, in USD, with at most 9 decimals.")
    per: Unit = Field(description="How long the window is.")
    time_zone: str | None = Field(
        None,
        min_length=1,
        description="The zone in which days, weeks and months begin, for instance Europe/Berlin; "
        "UTC if not given.",
    )
    enforce: Enforce = Field("normal", description=_ENFORCE)

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, zone: str | None, info: ValidationInfo) -> str | None:
        if zone is not None:
            _check_window(info, None, zone)
        return zone


class WindowSection(Section):
    """A limit of any kind over any window."""

    count: Counted = Field(description="What is counted.")
    limit: StatedAmount = Field(
        description="How much is allowed in a window: a whole number, or USD with at most 9 "
        "decimals; 0 allows nothing."
    )
    per: Unit = Field(description="How long the window is.")
    window: Mode | None = Field(
        None,
        description="`rolling`: the time up to now; a rolling month has 30 days. `calendar`: from "
        "one full unit to the next, weeks from Monday. If not given, `rolling` up to an hour and "
        "`calendar` from a day on.",
    )
    time_zone: str | None = Field(
        None,
        min_length=1,
        description="The zone in which windows by the calendar begin, for instance Europe/Berlin; "
        "UTC if not given.",
    )
    enforce: Enforce = Field("normal", description=_ENFORCE)

    @field_validator("window")
    @classmethod
    def _check_mode(cls, mode: Mode | None, info: ValidationInfo) -> Mode | None:
        _check_window(info, mode)
        return mode

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, zone: str | None, info: ValidationInfo) -> str | None:
        if zone is not None:
            _check_window(info, info.data.get("window"), zone)
        return zone


class LimitsSection(Section):
    """How much may be used. What is not stated is not limited here."""

    rpm: WholeNumber | None = Field(None, description="Requests in any minute.")
    tpm: WholeNumber | None = Field(None, description="Tokens in any minute, read and written.")
    concurrency: WholeNumber | None = Field(None, description="Requests at the same time.")
    enforce: Enforce | None = Field(
        None,
        description="What happens at `rpm`, `tpm` and `concurrency`, as in `windows`; `normal` if "
        "not given.",
    )
    budget: Annotated[
        tuple[BudgetSection, ...], one_or_more("must be {usd: 100, per: month}, or a list of such")
    ] = Field((), description="Money that may be spent.")
    windows: tuple[WindowSection, ...] = Field((), description="All other limits.")

    @field_validator("rpm", "tpm", "concurrency")
    @classmethod
    def _check_amount(cls, amount: int | None) -> int | None:
        if amount is not None:
            Limit.of(LimitKind.REQUESTS, amount, WindowUnit.MINUTE)
        return amount

    @field_validator("enforce")
    @classmethod
    def _check_use(cls, enforce: Enforce | None, info: ValidationInfo) -> Enforce | None:
        # A field that is wrong itself is not among the data.
        short = [info.data.get(name, "wrong") for name in ("rpm", "tpm", "concurrency")]
        if enforce is not None and all(amount is None for amount in short):
            raise ValueError(
                "says nothing without `rpm`, `tpm` or `concurrency`: "
                "move it into `budget` or `windows`"
            )
        return enforce

    @model_validator(mode="after")
    def _check_number(self) -> Self:
        short = [self.rpm, self.tpm, self.concurrency]
        number = sum(amount is not None for amount in short) + len(self.budget) + len(self.windows)
        if number > MAXIMUM_LIMITS:
            raise ValueError(f"states {number} limits: {MAXIMUM_LIMITS} are the most")
        return self


def no_limits() -> LimitsSection:
    """What stands for a section that is not there."""
    return LimitsSection.model_validate({})


class AllLimitsSection(Section):
    """Limits that belong to no single key, model or target."""

    default: LimitsSection = Field(
        default_factory=no_limits,
        description="For each key, in the kinds of limit that the key does not state itself.",
    )
    shared: LimitsSection = Field(
        default_factory=no_limits, description="For all traffic together."
    )
    tags: dict[TagPair, LimitsSection] = Field(
        {},
        description="For the traffic of all keys with a tag together, by `name=value`.",
    )
