"""What may be written under `guardrails:`."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from meshgate.config.fields import Name, Section
from meshgate.config.match_pattern import (
    DEFAULT_REACH,
    MAXIMUM_PATTERN,
    MAXIMUM_REACH,
    parse_pattern,
)
from meshgate.config.snapshot import Detector, FindingAction, OnError

MAXIMUM_RULES = 64
MAXIMUM_PHRASES = 10_000
MAXIMUM_PHRASE = 200


class RuleSection(Section):
    """What is looked for, and what is done about it: one of `detect`, `phrases` and `pattern`."""

    action: FindingAction = Field(
        description="What is done about a finding. `block`: nothing of the request or answer "
        "passes. `mask`: it is replaced by its kind, as in `[EMAIL]`. `observe`: it is counted."
    )
    detect: Detector | None = Field(
        None,
        description="Something well known. `secrets` is `api-key`, `jwt` and `private-key`; `pii` is "
        "`email`, `phone`, `credit-card`, `iban`, `us-ssn` and `ip-address`.",
    )
    phrases: tuple[str, ...] = Field(
        (),
        description="Words or phrases, in whatever case; where words are parted by spaces, whole "
        "words.",
    )
    pattern: str | None = Field(
        None,
        description="A regular expression of RE2, without lookaround and backreferences.",
    )
    name: Name | None = Field(
        None, description="What a `pattern` finds: its name in masks, metrics and records."
    )
    max_length: int = Field(
        DEFAULT_REACH,
        ge=1,
        le=MAXIMUM_REACH,
        description="The most bytes that one match of a `pattern` has: a longer one is cut there, "
        "and a stream is held back by no more.",
    )
    shadow: bool = Field(
        default=False,
        description="Whether the rule is only tried out: what it would do is counted, not done.",
    )

    @field_validator("phrases")
    @classmethod
    def _check_phrases(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        if len(phrases) > MAXIMUM_PHRASES:
            raise ValueError(f"holds {len(phrases)} phrases: {MAXIMUM_PHRASES} are the most")
        for phrase in phrases:
            if not phrase.strip() or phrase != phrase.strip() or len(phrase) > MAXIMUM_PHRASE:
                raise ValueError(
                    f"holds a phrase that is empty, has blanks at its ends or more than "
                    f"{MAXIMUM_PHRASE} characters"
                )
        return phrases

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            if len(pattern) > MAXIMUM_PATTERN:
                raise ValueError(f"has more than {MAXIMUM_PATTERN} characters: split it")
            parse_pattern(pattern)
        return pattern

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        stated = {"detect", "phrases", "pattern"} & self.model_fields_set
        if len(stated) != 1:
            raise ValueError("must have exactly one of `detect`, `phrases` and `pattern`")
        if self.detect is None and self.pattern is None and not self.phrases:
            raise ValueError("finds nothing: name what is to be found")
        if (self.pattern is not None) != (self.name is not None):
            raise ValueError("`name` and `pattern` go together: a pattern needs a name")
        if self.pattern is None and "max_length" in self.model_fields_set:
            raise ValueError("`max_length` is for a `pattern` only: remove it")
        return self


class GuardrailSection(Section):
    """A policy: what is looked for in what clients send and in what models answer."""

    input: tuple[RuleSection, ...] = Field((), description="Rules for what clients send.")
    output: tuple[RuleSection, ...] = Field((), description="Rules for what models answer.")
    on_error: OnError = Field(
        "closed",
        description="What happens where the text cannot be looked at. `closed`: it does not pass. "
        "`open`: it passes unseen.",
    )

    @field_validator("input", "output")
    @classmethod
    def _check_number(cls, rules: tuple[RuleSection, ...]) -> tuple[RuleSection, ...]:
        if len(rules) > MAXIMUM_RULES:
            raise ValueError(f"holds {len(rules)} rules: {MAXIMUM_RULES} are the most")
        return rules

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        if not self.input and not self.output:
            raise ValueError("has no rules: write some under `input` or `output`")
        return self
