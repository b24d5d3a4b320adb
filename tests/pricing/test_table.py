"""The table of prices that ships with the gateway."""

import re
from dataclasses import replace
from datetime import date

import msgspec
import pytest

from meshgate.pricing.prices import UNIT_PRICES, Prices
from meshgate.pricing.table import Entry, PriceTable, shipped
from meshgate.pricing.vendors import ADDRESSES, VENDORS

OPENAI = "https://api.openai.com/v1"
ENTRIES = {f"{entry.vendor}/{entry.model}": entry for entry in shipped()}
FREE = {"omni-moderation-latest"}


def prices_of(base_url: str, model: str) -> Prices | None:
    entry = shipped().find(base_url, model)
    return None if entry is None else shipped().prices(entry)


def units(prices: Prices) -> list[int]:
    """The prices of what is no token; searches are beside tokens where a model makes them itself."""
    beside = {"search_nanos"} if prices.output_nanos else set()
    return [getattr(prices, name) for name in UNIT_PRICES if name not in beside]


def flat(prices: Prices) -> list[Prices]:
    """All prices that stand in one entry."""
    offers = [prices, *(tier.prices for tier in prices.tiers)]
    return offers + [step.prices for offer in offers for step in offer.steps]


@pytest.fixture(params=ENTRIES)
def entry(request: pytest.FixtureRequest) -> Entry:
    return ENTRIES[request.param]


class TestEntries:
    def test_it_says_where_it_comes_from_and_of_when_it_is(self, entry: Entry) -> None:
        assert entry.vendor in VENDORS
        assert entry.source.startswith("https://")
        assert date.fromisoformat(entry.date) <= date.fromisoformat(shipped().version)

    def test_what_is_read_costs_something_and_the_cache_makes_it_cheaper(
        self, entry: Entry
    ) -> None:
        for prices in flat(shipped().prices(entry)):
            assert any(units(prices)) or prices.input_nanos or entry.model in FREE
            if not prices.input_nanos:
                continue
            assert 0 < prices.cached_input_nanos <= prices.input_nanos
            assert prices.cache_creation_nanos >= prices.input_nanos
            long_creation = prices.long_cache_creation_nanos
            assert long_creation is None or long_creation >= prices.cache_creation_nanos

    def test_what_is_not_charged_by_the_token_is_charged_by_one_thing(self, entry: Entry) -> None:
        for prices in flat(shipped().prices(entry)):
            assert len([price for price in units(prices) if price]) <= 1
            assert not (any(units(prices)) and prices.input_nanos)

    def test_a_search_costs_the_same_in_every_tier_and_after_every_question(
        self, entry: Entry
    ) -> None:
        assert len({prices.search_nanos for prices in flat(shipped().prices(entry))}) == 1

    def test_only_embeddings_and_what_is_not_written_in_tokens_write_nothing(
        self, entry: Entry
    ) -> None:
        by_unit = any(units(shipped().prices(entry)))
        writes = not (re.search(r"embed|rerank", entry.model) or by_unit or entry.model in FREE)

        assert all((prices.output_nanos > 0) == writes for prices in flat(shipped().prices(entry)))

    def test_long_questions_are_not_cheaper(self, entry: Entry) -> None:
        for offer in flat(shipped().prices(entry)):
            for step in offer.steps:
                assert step.prices.input_nanos >= offer.input_nanos
                assert step.prices.output_nanos >= offer.output_nanos

    def test_long_questions_cost_more_in_cheaper_tiers_too(self, entry: Entry) -> None:
        prices = shipped().prices(entry)

        for tier in prices.tiers:
            if prices.steps and tier.prices.input_nanos < prices.input_nanos:
                assert [step.above_tokens for step in tier.prices.steps] == [
                    step.above_tokens for step in prices.steps
                ]

    def test_waiting_is_cheaper_and_hurry_is_dearer(self, entry: Entry) -> None:
        usual = shipped().prices(entry)
        dearer = {"batch": False, "flex": False, "priority": True, "ultrafast": True}

        for tier in usual.tiers:
            differs = tier.prices.output_nanos > usual.output_nanos
            assert differs == dearer[tier.name] or usual.output_nanos == 0

    def test_it_is_found_by_each_of_its_names(self, entry: Entry) -> None:
        (address, *_) = [url for url, vendor in ADDRESSES.items() if vendor == entry.vendor]

        for name in (entry.model, *entry.aliases):
            assert shipped().find(address, name) is entry


class TestTable:
    def test_no_name_stands_twice(self) -> None:
        names = [
            (entry.vendor, name) for entry in shipped() for name in (entry.model, *entry.aliases)
        ]

        assert len(names) == len(set(names))

    def test_it_holds_the_models_of_every_vendor(self) -> None:
        assert {entry.vendor for entry in shipped()} == VENDORS
        assert 60 <= len(shipped().entries) <= 200

    def test_its_prices_say_which_table_they_are_from(self) -> None:
        found = prices_of(OPENAI, "gpt-4o")

        assert found is not None
        assert found.version == found.listed_as == f"table/{shipped().version}"

    @pytest.mark.parametrize(
        "written",
        [
            b'{"input": 1, "output": "1"}',
            b'{"input": "-1", "output": "1"}',
            b'{"input": "1"}',
            b'{"input": "1", "output": "1", "ouput": "1"}',
            b'{"input": "1", "output": "1", "steps": [{"input": "1", "output": "1"}]}',
        ],
    )
    def test_what_are_no_prices_is_refused(self, written: bytes) -> None:
        entry = b'{"vendor": "a", "model": "b", "source": "c", "date": "d", "prices": %b}' % written
        text = b'{"version": "1", "gathered": "", "models": [%b]}' % entry

        table = PriceTable.read(text)
        with pytest.raises(msgspec.DecodeError):
            table.prices(table.entries[0])


class TestResolution:
    @pytest.mark.parametrize(
        ("base_url", "model", "expected"),
        [
            (OPENAI, "gpt-4o", (2_500, 1_250, 2_500, 10_000)),
            (OPENAI, "gpt-4o-2024-08-06", (2_500, 1_250, 2_500, 10_000)),
            (OPENAI + "/", "gpt-4o-mini", (150, 75, 150, 600)),
            (
                "https://api.anthropic.com/v1",
                "claude-opus-4-5-20251101",
                (5_000, 500, 6_250, 25_000),
            ),
            ("https://api.mistral.ai/v1", "codestral-latest", (300, 30, 300, 900)),
            (OPENAI, "gpt-4o-transcribe", (2_500, 2_500, 2_500, 10_000)),
            (
                "https://generativelanguage.googleapis.com/v1beta/openai",
                "models/gemini-2.5-pro",
                (1_250, 125, 1_250, 10_000),
            ),
        ],
    )
    def test_exact_names_are_found(
        self, base_url: str, model: str, expected: tuple[int, ...]
    ) -> None:
        found = prices_of(base_url, model)

        assert found is not None
        dollars = (
            found.input_nanos,
            found.cached_input_nanos,
            found.cache_creation_nanos,
            found.output_nanos,
        )
        assert dollars == tuple(milli * 1_000_000 for milli in expected)

    @pytest.mark.parametrize(
        ("base_url", "model"),
        [
            (OPENAI, "gpt-4o-2031-01-01"),
            (OPENAI, "gpt-4"),
            (OPENAI, "GPT-4o"),
            (OPENAI, "ft:gpt-4o-2024-08-06:acme::1"),
            (OPENAI, "models/gpt-4o"),
            (OPENAI, "openai/gpt-4o"),
            (OPENAI, ""),
            ("https://eu.api.openai.com/v1", "gpt-4o"),
            ("http://api.openai.com/v1", "gpt-4o"),
            ("https://api.openai.com.example/v1", "gpt-4o"),
            ("https://api.openai.com/v2", "gpt-4o"),
            ("http://127.0.0.1:11434/v1", "gpt-4o"),
            ("https://api.mistral.ai/v1", "gpt-4o"),
        ],
    )
    def test_nothing_is_guessed(self, base_url: str, model: str) -> None:
        assert prices_of(base_url, model) is None


def test_prices_of_the_table_and_of_the_configuration_are_told_apart() -> None:
    found = prices_of(OPENAI, "gpt-4o")

    assert found is not None
    assert replace(found, listed_as="").version != found.version
