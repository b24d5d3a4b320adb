"""What may be written under `models:`."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from meshgate.config.duration import written
from meshgate.config.fields import Duration, Label, Name, PositiveDuration, Section, lasting
from meshgate.config.limit_schema import LimitsSection, no_limits
from meshgate.config.price_schema import PricesSection
from meshgate.config.snapshot import CacheScope, FailureKind, Strategy


class TargetSection(Section):
    """One upstream and its model."""

    provider: Name = Field(description="A name from `providers`.")
    model: Label | None = Field(
        None, description="The upstream's name for the model; the public name if not given."
    )
    weight: float = Field(
        1.0,
        gt=0,
        le=1_000_000,
        description="The target's share among those of the same priority, with strategy `weighted`.",
    )
    priority: int = Field(
        0,
        ge=-1_000,
        le=1_000,
        description="Targets with the lowest number come first, the others when those have failed.",
    )
    prices: PricesSection | None = Field(
        None,
        description="What the upstream charges; as the model's own `prices` if not given, else as "
        "in the table of vendors' prices (docs/prices.md).",
    )
    limits: LimitsSection = Field(
        default_factory=no_limits,
        description="How much may be used of this upstream's model. They hold wherever the same "
        "`provider` and `model` are a target, and are stated once.",
    )


class BackoffSection(Section):
    """How long to wait before the next attempt: a random time below a bound that doubles."""

    initial: Duration = lasting("100ms", "The first bound.")
    max: Duration = lasting("2s", "The highest bound.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if {"initial", "max"} <= self.model_fields_set and self.initial > self.max:
            raise ValueError("`initial` is longer than `max`: shorten it or raise `max`")
        return self


class RetriesSection(Section):
    """When to try again, at the same or another target, before the first byte is answered."""

    attempts: int = Field(2, ge=1, le=10, description="How often to try, the first time included.")
    on: tuple[FailureKind, ...] = Field(
        ("rate_limited", "overloaded", "timeout", "connection", "server_error"),
        description="The failures after which to try again.",
    )
    backoff: BackoffSection = Field(
        default_factory=lambda: BackoffSection.model_validate({}),
        description="How long to wait in between.",
    )


class TimeoutsSection(Section):
    """How long each phase may take."""

    connect: PositiveDuration = lasting("5s", "Until the connection stands.")
    first_token: PositiveDuration = lasting(
        "60s", "From sending the request to the first byte of the answer."
    )
    between_tokens: PositiveDuration = lasting("60s", "Between two pieces of a streamed answer.")
    total: PositiveDuration = lasting("600s", "The whole request, all attempts together.")

    @model_validator(mode="after")
    def _check_phases(self) -> Self:
        """What is written must make sense; defaults give way to a shorter `total`."""
        for phase in ("connect", "first_token", "between_tokens"):
            seconds = getattr(self, phase)
            if {phase, "total"} <= self.model_fields_set and seconds > self.total:
                raise ValueError(
                    f"`{phase}` ({written(seconds)}) is longer than `total` "
                    f"({written(self.total)}): shorten it or raise `total`"
                )
        return self


class CacheSection(Section):
    """Whether equal requests are answered once, and the answer kept for the next."""

    mode: Literal["exact", "off"] = Field(
        description="`exact`: requests that differ in nothing that changes the answer share one. "
        "`off`: every request goes upstream.",
    )
    ttl: PositiveDuration = lasting("10m", "How long an answer may be used.")
    scope: CacheScope = Field(
        "organization",
        description="Who shares answers: all of an organization, of a team, of a user, or each key "
        "by itself. Callers without a team or user share with nobody.",
    )
    maximum_bytes: int = Field(
        1 << 20, ge=1, le=16 << 20, description="Larger answers are not kept."
    )


class ModelSection(Section):
    """A name that clients ask for, and what stands behind it."""

    targets: tuple[TargetSection, ...] = Field(
        description="The upstreams that serve the model; at least one.",
        json_schema_extra={"minItems": 1},
    )
    strategy: Strategy = Field(
        "weighted",
        description="How the first target is chosen. `weighted`: drawn by weight among those "
        "of the lowest priority. `priority`: by priority, equals in the order written.",
    )
    retries: RetriesSection = Field(
        default_factory=lambda: RetriesSection.model_validate({}), description="When to try again."
    )
    fallbacks: tuple[Label, ...] = Field(
        (), description="Other names from `models` to try, in order, when every attempt has failed."
    )
    timeouts: TimeoutsSection = Field(
        default_factory=lambda: TimeoutsSection.model_validate({}),
        description="Bounds on the phases of a request.",
    )
    prices: PricesSection | None = Field(
        None,
        description="For targets that state none. A model that has no prices here or in the table of "
        "vendors' prices (docs/prices.md) is never taken as free: where a budget holds, its requests "
        "are refused.",
    )
    limits: LimitsSection = Field(
        default_factory=no_limits, description="How much of the model may be used by all together."
    )
    guardrails: tuple[Name, ...] = Field(
        (), description="Names from `guardrails`: the policies that its texts must pass, in order."
    )
    cache: CacheSection | None = Field(
        None, description="Answers that are kept; without it, or with `mode: off`, there are none."
    )

    @field_validator("targets")
    @classmethod
    def _check_number(cls, targets: tuple[TargetSection, ...]) -> tuple[TargetSection, ...]:
        if not targets:
            raise ValueError("must name at least one target")
        return targets

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.strategy == "priority":
            for target in self.targets:
                if "weight" in target.model_fields_set:
                    raise ValueError(
                        "`weight` means nothing with the strategy `priority`: "
                        "remove it or use `strategy: weighted`"
                    )
        return self
