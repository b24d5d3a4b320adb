"""The prices of a target."""

import hashlib
from dataclasses import dataclass, field, fields

TOKENS_PER_PRICE = 1_000_000
VERSION_LENGTH = 12
UNIT_PRICES = (
    "request_nanos",
    "image_nanos",
    "audio_second_nanos",
    "character_nanos",
    "search_nanos",
)
"""The prices of what is not charged by the token: nothing where they are not stated."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What tokens cost, each in whole nano-dollars per million tokens, from 0 on.

    What is None costs what the kind that it belongs to costs. Usual prices are in the first four.

    Attributes:
        input_nanos: Tokens read that are of no kind below.
        cached_input_nanos: Those of them read from the upstream's cache.
        cache_creation_nanos: Those written to it.
        output_nanos: Tokens written that are of no kind below.
        long_cache_creation_nanos: Tokens written to the cache for longer than is usual.
        reasoning_nanos: Tokens written to think.
        input_audio_nanos: Sounds read, in tokens.
        output_audio_nanos: Sounds written.
        input_image_nanos: Pictures read.
        output_image_nanos: Pictures written.
        request_nanos: What a request costs whatever its tokens, in nano-dollars.
        image_nanos: What each picture costs that is made, in nano-dollars; so the next three.
        audio_second_nanos: Each second of sound that is heard.
        character_nanos: Each character that is spoken.
        search_nanos: Each search unit of a reranker, and each search of the web.
        steps: Other prices for long questions, the shortest first.
        tiers: Other prices in service tiers.
        listed_as: Where the prices come from, if not from the configuration; else empty.
        version: The same wherever the same prices stand; written into usage records.
        is_plain: Whether there is nothing but the first four.
        is_flat: Whether there is nothing else but for steps and tiers that are so too.
    """

    input_nanos: int
    cached_input_nanos: int
    cache_creation_nanos: int
    output_nanos: int
    long_cache_creation_nanos: int | None = None
    reasoning_nanos: int | None = None
    input_audio_nanos: int | None = None
    output_audio_nanos: int | None = None
    input_image_nanos: int | None = None
    output_image_nanos: int | None = None
    request_nanos: int = 0
    image_nanos: int = 0
    audio_second_nanos: int = 0
    character_nanos: int = 0
    search_nanos: int = 0
    steps: "tuple[Step, ...]" = ()
    tiers: "tuple[Tier, ...]" = ()
    listed_as: str = ""
    version: str = field(init=False)
    is_plain: bool = field(init=False)
    is_flat: bool = field(init=False)

    def __post_init__(self) -> None:
        text = (
            f"{self.input_nanos},{self.cached_input_nanos},"
            f"{self.cache_creation_nanos},{self.output_nanos}"
        )
        besides = self._besides
        if besides:
            text += "," + ",".join(f"{name}={value!r}" for name, value in besides.items())
        version = hashlib.sha256(text.encode()).hexdigest()[:VERSION_LENGTH]
        object.__setattr__(self, "version", self.listed_as or version)
        object.__setattr__(self, "is_plain", not besides)
        is_flat = (
            besides.keys() <= {"steps", "tiers"}
            and all(step.prices.is_flat for step in self.steps)
            and all(tier.prices.is_flat for tier in self.tiers)
        )
        object.__setattr__(self, "is_flat", is_flat)

    @property
    def _besides(self) -> dict[str, object]:
        """What is stated besides the first four prices."""
        return {
            each.name: value
            for each in fields(self)
            if each.init and each.name != "listed_as" and each.default in (None, 0, ())
            if (value := getattr(self, each.name)) != each.default
        }

    def at(self, tier: str, input_tokens: int) -> "Prices":
        """The prices of a charge: in a service tier, for a question of that length.

        A tier that has no prices costs what is usual.
        """
        found = self
        for each in self.tiers:
            if each.name == tier:
                found = each.prices
                break
        if found.steps:
            for step in reversed(found.steps):
                if input_tokens > step.above_tokens:
                    return step.prices
        return found

    @property
    def dearest_input_nanos(self) -> int:
        """The most that a token read may cost, steps and tiers aside."""
        return max(
            self.input_nanos,
            self.cached_input_nanos,
            self.cache_creation_nanos,
            self.long_cache_creation_nanos or 0,
            self.input_audio_nanos or 0,
            self.input_image_nanos or 0,
        )

    @property
    def dearest_output_nanos(self) -> int:
        """The most that a token written may cost, steps and tiers aside."""
        return max(
            self.output_nanos,
            self.reasoning_nanos or 0,
            self.output_audio_nanos or 0,
            self.output_image_nanos or 0,
        )


@dataclass(frozen=True, slots=True)
class Step:
    """The prices of all tokens of a request that reads more than so many."""

    above_tokens: int
    prices: Prices


@dataclass(frozen=True, slots=True)
class Tier:
    """The prices in a service tier, by the upstream's name for it."""

    name: str
    prices: Prices
