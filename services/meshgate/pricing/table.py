"""The prices of well-known models, as they ship with the gateway: see docs/prices.md."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Raw, Struct

from meshgate.pricing.money import nanos_of_usd
from meshgate.pricing.prices import Prices
from meshgate.pricing.stated import prices_of
from meshgate.pricing.vendors import plain_name, vendor_at


class Nanos(int):
    """Nano-dollars."""

    __slots__ = ()


class Rates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices in USD, but for `request` and `per_...` per million tokens; the names are those of the configuration."""

    input: Nanos
    output: Nanos
    cached_input: Nanos | None = None
    cache_creation: Nanos | None = None
    long_cache_creation: Nanos | None = None
    reasoning: Nanos | None = None
    input_audio: Nanos | None = None
    output_audio: Nanos | None = None
    input_image: Nanos | None = None
    output_image: Nanos | None = None
    request: Nanos | None = None
    per_image: Nanos | None = None
    per_audio_second: Nanos | None = None
    per_character: Nanos | None = None
    per_search: Nanos | None = None


class StepRates(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rates of a request that reads more than `above` tokens."""

    above: int


class SteppedRates(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates that may depend on how long the question is."""

    steps: tuple[StepRates, ...] = ()


class TieredRates(SteppedRates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates that may also depend on the service tier."""

    tiers: dict[str, SteppedRates] = {}


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of one vendor, under each of its names that cost the same.

    Attributes:
        vendor: Whose it is.
        model: Its name in the vendor's API.
        aliases: The other names of the same model there.
        source: The page on which the vendor states the prices.
        date: When they were last seen to be so.
        prices: What it costs, `TieredRates` in JSON: read when it is asked for, as few are.
    """

    vendor: str
    model: str
    source: str
    date: str
    prices: Raw
    aliases: tuple[str, ...] = ()


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    gathered: str
    models: tuple[Entry, ...]


def _usd(kind: type, written: object) -> Nanos:
    """Money is written as text in the table, for JSON's numbers are not exact."""
    if kind is not Nanos or not isinstance(written, str):
        raise ValueError("must be an amount in USD, as text")
    return Nanos(nanos_of_usd(written))


_FILE = msgspec.json.Decoder(_File)
_RATES = msgspec.json.Decoder(TieredRates, dec_hook=_usd)


class PriceTable:
    """Prices by vendor and model.

    Attributes:
        version: Names this state of the table.
        entries: What it holds.
    """

    def __init__(self, version: str, entries: tuple[Entry, ...]) -> None:
        self.version = version
        self.entries = entries
        self._entries = {
            (entry.vendor, name): entry
            for entry in entries
            for name in (entry.model, *entry.aliases)
        }
        self._prices: dict[tuple[str, str], Prices] = {}

    @classmethod
    def read(cls, data: bytes) -> "PriceTable":
        """The table in a file.

        Raises:
            msgspec.DecodeError: It is none.
        """
        file = _FILE.decode(data)
        return cls(file.version, file.models)

    def find(self, base_url: str, model: str) -> Entry | None:
        """The entry of a model at an address, by one of its exact names; None if there is none."""
        vendor = vendor_at(base_url)
        if vendor is None:
            return None
        return self._entries.get((vendor, plain_name(vendor, model)))

    def prices(self, entry: Entry) -> Prices:
        """The prices in an entry.

        Raises:
            msgspec.DecodeError: There are none.
        """
        key = (entry.vendor, entry.model)
        if key not in self._prices:
            self._prices[key] = prices_of(_RATES.decode(entry.prices), f"table/{self.version}")
        return self._prices[key]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


@cache
def shipped() -> PriceTable:
    """The table of this release."""
    return PriceTable.read(files("meshgate.pricing").joinpath("table.json").read_bytes())
