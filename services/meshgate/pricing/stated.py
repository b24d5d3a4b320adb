"""Prices as they are stated, in the configuration and in the table: few are, the rest follow."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from meshgate.pricing.prices import Prices, Step, Tier


class Rates(Protocol):
    """What is stated at one place, in nano-dollars. None is what is not."""

    @property
    def input(self) -> int: ...
    @property
    def output(self) -> int: ...
    @property
    def cached_input(self) -> int | None: ...
    @property
    def cache_creation(self) -> int | None: ...
    @property
    def long_cache_creation(self) -> int | None: ...
    @property
    def reasoning(self) -> int | None: ...
    @property
    def input_audio(self) -> int | None: ...
    @property
    def output_audio(self) -> int | None: ...
    @property
    def input_image(self) -> int | None: ...
    @property
    def output_image(self) -> int | None: ...
    @property
    def request(self) -> int | None: ...
    @property
    def per_image(self) -> int | None: ...
    @property
    def per_audio_second(self) -> int | None: ...
    @property
    def per_character(self) -> int | None: ...
    @property
    def per_search(self) -> int | None: ...


class StepRates(Rates, Protocol):
    """The rates of requests that read more than so many tokens."""

    @property
    def above(self) -> int: ...


class SteppedRates(Rates, Protocol):
    """Rates that may depend on how long the question is."""

    @property
    def steps(self) -> Sequence[StepRates]: ...


class TieredRates(SteppedRates, Protocol):
    """Rates that may also depend on the service tier."""

    @property
    def tiers(self) -> Mapping[str, SteppedRates]: ...


def prices_of(rates: TieredRates, listed_as: str = "") -> Prices:
    """The prices that rates state."""
    tiers = tuple(
        Tier(name, _flat(tier, _steps(tier))) for name, tier in sorted(rates.tiers.items())
    )
    return _flat(rates, _steps(rates), tiers, listed_as)


def _steps(rates: SteppedRates) -> tuple[Step, ...]:
    return tuple(Step(step.above, _flat(step)) for step in rates.steps)


def _flat(
    rates: Rates,
    steps: tuple[Step, ...] = (),
    tiers: tuple[Tier, ...] = (),
    listed_as: str = "",
) -> Prices:
    read = int(rates.input)
    cached, creation = _nanos(rates.cached_input), _nanos(rates.cache_creation)
    return Prices(
        read,
        read if cached is None else cached,
        read if creation is None else creation,
        int(rates.output),
        long_cache_creation_nanos=_nanos(rates.long_cache_creation),
        reasoning_nanos=_nanos(rates.reasoning),
        input_audio_nanos=_nanos(rates.input_audio),
        output_audio_nanos=_nanos(rates.output_audio),
        input_image_nanos=_nanos(rates.input_image),
        output_image_nanos=_nanos(rates.output_image),
        request_nanos=int(rates.request or 0),
        image_nanos=int(rates.per_image or 0),
        audio_second_nanos=int(rates.per_audio_second or 0),
        character_nanos=int(rates.per_character or 0),
        search_nanos=int(rates.per_search or 0),
        steps=steps,
        tiers=tiers,
        listed_as=listed_as,
    )


def _nanos(stated: int | None) -> int | None:
    """A plain integer: arithmetic with other kinds of it is slower."""
    return None if stated is None else int(stated)
