"""What may be written under `prices:`."""

from pydantic import Field

from meshgate.config.fields import Section, Usd


class PricesSection(Section):
    """What tokens cost, in USD per million, with at most 9 decimals."""

    input: Usd = Field(description="Tokens read, but for those of the two kinds below.")
    output: Usd = Field(description="Tokens written, reasoning included.")
    cached_input: Usd | None = Field(
        None, description="Tokens read from the upstream's cache; as `input` if not given."
    )
    cache_creation: Usd | None = Field(
        None, description="Tokens written to the upstream's cache; as `input` if not given."
    )
