"""What uses cost where there are more prices than four."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.pricing.ceiling import ceiling
from meshgate.pricing.cost import Parts, cost_nanos
from meshgate.pricing.prices import Prices, Step, Tier
from meshgate.pricing.table import shipped

USD = 1_000_000_000
NANOS = st.integers(0, 1_000 * USD)
TOKENS = st.integers(0, 3_000_000)
FEW = st.integers(0, 400_000)
WORDS = st.sampled_from(["", "auto", "default", "flex", "priority"])


def known(base_url: str, model: str) -> Prices:
    entry = shipped().find(base_url, model)
    assert entry is not None
    return shipped().prices(entry)


OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai"


@st.composite
def flat_prices(draw):
    optional = st.none() | NANOS
    return Prices(
        *(draw(NANOS) for _ in range(4)),
        *(draw(optional) for _ in range(6)),
        request_nanos=draw(st.integers(0, USD)),
    )


@st.composite
def any_prices(draw):
    def stepped():
        bounds = sorted(draw(st.sets(st.integers(1, 300_000), max_size=2)))
        steps = tuple(Step(bound, draw(flat_prices())) for bound in bounds)
        return replace(draw(flat_prices()), steps=steps)

    tiers = tuple(Tier(name, stepped()) for name in draw(st.sets(WORDS, max_size=2)) if name)
    return replace(stepped(), tiers=tiers)


PARTS = st.builds(Parts, *([FEW] * 6))


class TestKnownAnswers:
    @pytest.mark.parametrize(
        ("prices", "use", "expected"),
        [
            # A Claude Opus at 5 / 6.25 / 25 USD: 1.06376125 USD.
            (known(ANTHROPIC, "claude-opus-4-5"), (159_223, 0, 159_217, 2_745), 1_063_761_250),
            # GPT-4o: 2.50, half of it from the cache, and 10 USD a million.
            (known(OPENAI, "gpt-4o"), (2_006, 1_920, 0, 300), 215_000 + 2_400_000 + 3_000_000),
            # Embeddings cost what is read.
            (known(OPENAI, "text-embedding-3-small"), (1_000_000, 0, 0, 0), USD // 50),
            # Gemini 2.5 Pro doubles above 200,000 tokens, for all of them.
            (known(GEMINI, "gemini-2.5-pro"), (200_000, 0, 0, 1_000), 250_000_000 + 10_000_000),
            (known(GEMINI, "gemini-2.5-pro"), (200_001, 0, 0, 1_000), 500_002_500 + 15_000_000),
            (known(GEMINI, "gemini-2.5-pro"), (300_000, 300_000, 0, 0), 75_000_000),
        ],
    )
    def test_a_use_costs_what_the_vendor_says(self, prices, use, expected) -> None:
        assert cost_nanos(prices, *use) == expected

    def test_an_hour_in_the_cache_costs_more_than_five_minutes(self) -> None:
        opus = known(ANTHROPIC, "claude-opus-4-5")

        cost = cost_nanos(opus, 1_000, 0, 1_000, 0, parts=Parts(long_cache_creation_input=400))

        assert cost == 400 * 10_000 + 600 * 6_250

    def test_a_batch_is_half_the_price(self) -> None:
        opus = known(ANTHROPIC, "claude-opus-4-5")
        use = (159_223, 0, 159_217, 2_745)

        assert cost_nanos(opus, *use, tier="batch") * 2 == cost_nanos(opus, *use)

    def test_priority_is_dearer_and_flex_cheaper(self) -> None:
        model = known(OPENAI, "gpt-5")
        use = (1_000_000, 0, 0, 1_000_000)

        costs = [cost_nanos(model, *use, tier=tier) for tier in ("flex", "", "priority")]

        assert costs == [5_625_000_000, 11_250_000_000, 22_500_000_000]

    @pytest.mark.parametrize("tier", ["default", "scale", "Priority ", "what else"])
    def test_a_tier_without_prices_costs_what_is_usual(self, tier) -> None:
        model = known(OPENAI, "gpt-5")

        assert cost_nanos(model, 10, 0, 0, 10, tier=tier) == cost_nanos(model, 10, 0, 0, 10)

    def test_sounds_have_their_own_prices(self) -> None:
        model = known(OPENAI, "gpt-audio")

        cost = cost_nanos(model, 1_000, 0, 0, 500, parts=Parts(input_audio=900, output_audio=400))

        assert cost == 100 * 2_500 + 900 * 32_000 + 100 * 10_000 + 400 * 64_000

    def test_a_request_may_cost_something_by_itself(self) -> None:
        assert cost_nanos(Prices(1, 1, 1, 1, request_nanos=5), 0, 0, 0, 0) == 5

    @pytest.mark.parametrize(
        ("kind", "price"),
        [
            ("images", "image_nanos"),
            ("audio_seconds", "audio_second_nanos"),
            ("characters", "character_nanos"),
            ("search_units", "search_nanos"),
        ],
    )
    def test_what_is_no_token_costs_each_and_nothing_where_no_price_is_stated(
        self, kind: str, price: str
    ) -> None:
        prices = Prices(USD, USD, USD, USD, **{price: 7})  # type: ignore[arg-type]

        cost = cost_nanos(prices, 2, 0, 0, 1, parts=Parts(**{kind: 3}))

        assert cost == 3 * 7 + 3 * 1_000
        assert cost_nanos(Prices(0, 0, 0, 0), 2, 0, 0, 1, parts=Parts(**{kind: 3})) == 0

    def test_quality_and_size_of_a_picture_are_a_tier(self) -> None:
        hd = Tier("hd-1024x1792", Prices(0, 0, 0, 0, image_nanos=12))
        prices = Prices(0, 0, 0, 0, image_nanos=4, tiers=(hd,))

        costs = [
            cost_nanos(prices, 0, 0, 0, 0, parts=Parts(images=2), tier=tier)
            for tier in ("standard-1024x1024", "hd-1024x1792")
        ]

        assert costs == [8, 24]

    def test_thoughts_may_have_their_own_price(self) -> None:
        prices = Prices(USD, USD, USD, 2 * USD, reasoning_nanos=3 * USD)

        assert (
            cost_nanos(prices, 0, 0, 0, 100, parts=Parts(reasoning=40)) == 60 * 2_000 + 40 * 3_000
        )

    def test_no_part_is_paid_for_twice(self) -> None:
        prices = Prices(USD, USD // 10, 2 * USD, USD, input_audio_nanos=5 * USD)

        cost = cost_nanos(prices, 100, 60, 30, 0, parts=Parts(input_audio=50))

        assert cost == 50 * 5_000 + 30 * 2_000 + 20 * 100


class TestAlways:
    @given(any_prices(), TOKENS, FEW, FEW, TOKENS, PARTS)
    def test_what_is_usual_is_the_same_whichever_way_it_is_computed(
        self, prices, read, cached, creation, written, parts
    ) -> None:
        plain = Prices(
            prices.input_nanos,
            prices.cached_input_nanos,
            prices.cache_creation_nanos,
            prices.output_nanos,
        )
        use = (read + cached + creation, cached, creation, written)

        slow = cost_nanos(replace(plain, input_image_nanos=1), *use)

        assert cost_nanos(plain, *use, parts=parts, tier="flex") == slow

    @given(flat_prices(), TOKENS, TOKENS, TOKENS, TOKENS, PARTS)
    def test_no_use_costs_more_than_all_of_it_at_the_dearest(
        self, prices, read, cached, creation, written, parts
    ) -> None:
        cost = cost_nanos(prices, read, cached, creation, written, parts=parts)

        dearest = read * prices.dearest_input_nanos + written * prices.dearest_output_nanos
        assert cost <= -(-dearest // 1_000_000) + prices.request_nanos

    @given(flat_prices(), st.tuples(TOKENS, FEW, TOKENS), PARTS, TOKENS)
    def test_more_of_the_usual_tokens_never_cost_less(self, prices, use, parts, more) -> None:
        read, cached, written = use
        less = cost_nanos(prices, read, cached, 0, written, parts=parts)

        assert cost_nanos(prices, read + more, cached, 0, written, parts=parts) >= less
        assert cost_nanos(prices, read, cached, 0, written + more, parts=parts) >= less

    @given(flat_prices(), *([TOKENS] * 4))
    def test_costs_add_up_but_for_a_nano_dollar(self, prices, read, written, read2, written2):
        prices = replace(prices, request_nanos=0)
        one = cost_nanos(prices, read, 0, 0, written)
        other = cost_nanos(prices, read2, 0, 0, written2)

        both = cost_nanos(prices, read + read2, 0, 0, written + written2)

        assert 0 <= one + other - both <= 1


class TestCeilings:
    @given(st.lists(any_prices(), min_size=1, max_size=3), WORDS, st.booleans(), st.data())
    def test_no_charge_exceeds_the_ceiling(self, choices, asked, is_bound, data) -> None:
        read, written = data.draw(TOKENS), data.draw(TOKENS)
        highest = ceiling(choices, asked, is_bound=is_bound)
        assert highest is not None

        bound = cost_nanos(highest, read + data.draw(FEW), 0, 0, written)

        charged = data.draw(st.sampled_from(choices))
        tiers = ["", "default", asked]
        if is_bound and asked in ("", "auto"):
            tiers += [tier.name for tier in charged.tiers]
        cost = cost_nanos(
            charged,
            read,
            data.draw(TOKENS),
            data.draw(TOKENS),
            written,
            parts=data.draw(PARTS),
            tier=data.draw(st.sampled_from(tiers)),
        )
        assert cost <= bound

    def test_a_step_counts_only_where_it_can_be_reached(self) -> None:
        highest = ceiling([known(GEMINI, "gemini-2.5-pro")], "default", is_bound=True)

        assert highest is not None
        assert cost_nanos(highest, 200_000, 0, 0, 0) == 250_000_000
        assert cost_nanos(highest, 200_001, 0, 0, 0) == 500_002_500

    @pytest.mark.parametrize(
        ("asked", "is_bound", "nanos"),
        [
            ("", False, 10_000),
            ("auto", False, 10_000),
            ("default", True, 10_000),
            ("flex", True, 10_000),
            ("priority", False, 20_000),
            ("priority", True, 20_000),
            ("", True, 20_000),
            ("auto", True, 20_000),
        ],
    )
    def test_it_is_as_dear_as_the_tier_that_may_be_served(self, asked, is_bound, nanos) -> None:
        highest = ceiling([known(OPENAI, "gpt-5")], asked, is_bound=is_bound)

        assert highest is not None
        assert cost_nanos(highest, 0, 0, 0, 1) == nanos

    def test_without_prices_there_is_none(self) -> None:
        assert ceiling([], "", is_bound=True) is None
