"""What may be written under `prices:`."""

from itertools import pairwise

from pydantic import Field, field_validator

from meshgate.config.fields import Name, Section, Usd
from meshgate.pricing.prices import Prices
from meshgate.pricing.stated import prices_of


class RatesSection(Section):
    """What tokens cost, in USD per million, with at most 9 decimals."""

    input: Usd = Field(description="Tokens read, but for those of the kinds below.")
    output: Usd = Field(description="Tokens written, but for those of the kinds below.")
    cached_input: Usd | None = Field(
        None, description="Tokens read from the upstream's cache; as `input` if not given."
    )
    cache_creation: Usd | None = Field(
        None, description="Tokens written to the upstream's cache; as `input` if not given."
    )
    long_cache_creation: Usd | None = Field(
        None,
        description="Tokens written to it for longer than is usual, as for an hour; "
        "as `cache_creation` if not given.",
    )
    reasoning: Usd | None = Field(
        None, description="Tokens written to think; as `output` if not given."
    )
    input_audio: Usd | None = Field(
        None, description="Sounds read, in tokens; as `input` if not given."
    )
    output_audio: Usd | None = Field(
        None, description="Sounds written, in tokens; as `output` if not given."
    )
    input_image: Usd | None = Field(
        None, description="Pictures read, in tokens; as `input` if not given."
    )
    output_image: Usd | None = Field(
        None, description="Pictures written, in tokens; as `output` if not given."
    )
    request: Usd | None = Field(
        None, description="Each request, whatever its tokens, in USD; nothing if not given."
    )
    per_image: Usd | None = Field(
        None, description="Each picture that is made, in USD; nothing if not given."
    )
    per_audio_second: Usd | None = Field(
        None, description="Each second of sound that is heard, in USD; nothing if not given."
    )
    per_character: Usd | None = Field(
        None, description="Each character that is spoken, in USD; nothing if not given."
    )
    per_search: Usd | None = Field(
        None,
        description="Each search unit of a reranker, and each search of the web that the upstream made by itself, in USD; nothing if not given.",
    )


class PriceStepSection(RatesSection):
    """The prices of all tokens of a request that reads more than so many. All are stated anew."""

    above: int = Field(
        ge=1, le=2**31 - 1, description="Requests that read more tokens have these prices."
    )


class SteppedSection(RatesSection):
    """Prices that may depend on how long the question is."""

    steps: tuple[PriceStepSection, ...] = Field(
        (), description="Other prices for long questions, by `above`, the lowest first."
    )

    @field_validator("steps")
    @classmethod
    def _check_order(cls, steps: tuple[PriceStepSection, ...]) -> tuple[PriceStepSection, ...]:
        for one, other in pairwise(steps):
            if one.above >= other.above:
                raise ValueError(
                    f"must rise: `above: {other.above}` comes after `above: {one.above}`"
                )
        return steps


class PriceTierSection(SteppedSection):
    """The prices in a service tier. All are stated anew."""


class PricesSection(SteppedSection):
    """What tokens cost, in USD per million, with at most 9 decimals."""

    tiers: dict[Name, PriceTierSection] = Field(
        {},
        description="Other prices by service tier, as the upstream's answers name it: `flex`, "
        "`priority`, `batch`. A tier that is not among them costs what is usual.",
    )

    def prices(self) -> Prices:
        """As services read them."""
        return prices_of(self)
