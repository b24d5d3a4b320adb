import pytest

from meshgate.config.loading import check, load
from meshgate.pricing.prices import Prices


def model(fields: str, target: str = "") -> str:
    return f"""\
providers: {{demo: {{kind: demo}}}}
models:
  a: {{targets: [{{provider: demo, {target}}}, {{provider: demo, model: b}}], {fields}}}
"""


def prices_of(directory, text: str) -> list[Prices | None]:
    return [target.prices for target in load(directory.write(text)).models["a"].targets]


def test_a_target_without_prices_is_not_free(directory):
    assert prices_of(directory, model("fallbacks: []")) == [None, None]


def test_prices_are_nano_dollars_for_a_million_tokens(directory):
    text = model(
        "fallbacks: []",
        "prices: {input: 0.15, cached_input: 0.075, cache_creation: 0.1875, output: '0.60'}",
    )

    assert prices_of(directory, text)[0] == Prices(
        input_nanos=150_000_000,
        cached_input_nanos=75_000_000,
        cache_creation_nanos=187_500_000,
        output_nanos=600_000_000,
    )


def test_tokens_of_the_cache_cost_what_others_cost_unless_they_have_prices(directory):
    found, _ = prices_of(directory, model("fallbacks: []", "prices: {input: 3, output: 15}"))

    assert found.cached_input_nanos == found.cache_creation_nanos == found.input_nanos


def test_a_price_of_nothing_is_a_price(directory):
    text = model("fallbacks: []", "prices: {input: 3, cached_input: 0, output: 15}")

    assert prices_of(directory, text)[0].cached_input_nanos == 0


def test_the_prices_of_the_model_are_those_of_targets_that_state_none(directory):
    text = model("prices: {input: 1, output: 2}", "prices: {input: 0, output: 0}")

    assert prices_of(directory, text) == [
        Prices(0, 0, 0, 0),
        Prices(1_000_000_000, 1_000_000_000, 1_000_000_000, 2_000_000_000),
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("prices: {}", "prices.input: is missing. Tokens read"),
        ("prices: {input: 1}", "prices.output: is missing. Tokens written"),
        ("prices: {output: 1}", "prices.input: is missing. Tokens read"),
        ("prices: {input: 1, ouput: 1}", "prices.ouput: unknown field ouput; did you mean output?"),
        ("prices: {input: -1, output: 1}", "prices.input: must be an amount in USD from 0 on"),
        ("prices: {input: free, output: 1}", "prices.input: must be an amount in USD, for"),
        ("prices: {input: 9000001, output: 1}", "prices.input: more than 9,000,000 USD"),
        ("prices: {input: 0.0000000001, output: 1}", "prices.input: has more than 9 decimals"),
        ("prices: 1", "prices: must hold fields"),
    ],
)
@pytest.mark.parametrize("place", ["models.a.", "models.a.targets[0]."])
def test_prices_that_cannot_be_are_told_at_their_field(directory, fields, expected, place):
    text = model(fields) if place == "models.a." else model("fallbacks: []", fields)

    problems = [str(problem) for problem in check(directory.write(text))]

    assert any(f"yaml:3: {place}{expected}" in problem for problem in problems), problems


def vendor(address: str, fields: str = "", model: str = "gpt-4o") -> str:
    return f"""\
providers:
  one: {{kind: openai-compatible, base_url: "{address}"}}
models:
  {model}: {{targets: [{{provider: one, {fields}}}]}}
"""


def target_of(directory, text: str):
    (target,) = next(iter(load(directory.write(text)).models.values())).targets
    return target


OPENAI = "https://api.openai.com/v1"


def test_the_models_of_a_vendors_own_api_have_the_vendors_prices(directory):
    target = target_of(directory, vendor(OPENAI))

    assert target.price_status == "table"
    assert target.prices.input_nanos == 2_500_000_000
    assert target.prices.version.startswith("table/")


def test_the_name_that_counts_is_the_upstreams(directory):
    target = target_of(directory, vendor(OPENAI, "model: gpt-4o-mini-2024-07-18", "mine"))

    assert target.prices.input_nanos == 150_000_000


def test_prices_in_the_configuration_come_before_those_of_the_table(directory):
    target = target_of(directory, vendor(OPENAI, "prices: {input: 1, output: 2}"))

    assert target.price_status == "configured"
    assert target.prices == Prices(1_000_000_000, 1_000_000_000, 1_000_000_000, 2_000_000_000)


@pytest.mark.parametrize(
    ("address", "model"),
    [
        (OPENAI, "gpt-of-tomorrow"),
        ("https://eu.api.openai.com/v1", "gpt-4o"),
        ("http://127.0.0.1:8000/v1", "gpt-4o"),
    ],
)
def test_what_the_table_does_not_know_has_no_price(directory, address, model):
    target = target_of(directory, vendor(address, model=model))

    assert target.price_status == "unpriced"
    assert target.prices is None


def test_the_demo_has_no_price_whatever_its_models_are_called(directory):
    text = "providers: {d: {kind: demo}}\nmodels: {gpt-4o: {targets: [{provider: d}]}}\n"

    assert target_of(directory, text).price_status == "unpriced"


def test_all_that_a_vendor_may_charge_can_be_stated(directory):
    text = """\
providers: {demo: {kind: demo}}
models:
  a:
    targets: [{provider: demo}]
    prices:
      input: 1
      output: 4
      long_cache_creation: 2
      reasoning: 5
      input_audio: 6
      output_audio: 7
      input_image: 8
      output_image: 9
      request: 0.001
      per_image: 0.04
      per_audio_second: 0.0001
      per_character: 0.000015
      per_search: 0.002
      steps: [{above: 1000, input: 2, output: 8}]
      tiers:
        flex: {input: 0.5, output: 2, steps: [{above: 1000, input: 1, output: 4}]}
"""

    prices = target_of(directory, text).prices

    usd = 1_000_000_000
    assert (prices.long_cache_creation_nanos, prices.reasoning_nanos) == (2 * usd, 5 * usd)
    assert (prices.input_audio_nanos, prices.output_audio_nanos) == (6 * usd, 7 * usd)
    assert (prices.input_image_nanos, prices.output_image_nanos) == (8 * usd, 9 * usd)
    assert prices.request_nanos == 1_000_000
    assert (prices.image_nanos, prices.audio_second_nanos) == (40_000_000, 100_000)
    assert (prices.character_nanos, prices.search_nanos) == (15_000, 2_000_000)
    assert prices.at("", 1001).input_nanos == 2 * usd
    assert prices.at("flex", 1000).output_nanos == 2 * usd
    assert prices.at("flex", 1001).output_nanos == 4 * usd


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("steps: [{input: 1, output: 1}]", "prices.steps[0].above: is missing"),
        ("steps: [{above: 0, input: 1, output: 1}]", "prices.steps[0].above"),
        ("tiers: {flex: {input: 1}}", "prices.tiers.flex.output: is missing"),
        ("tiers: {flex: {input: -1, output: 1}}", "prices.tiers.flex.input: must be an amount"),
        ("request: -1", "prices.request: must be an amount in USD from 0 on"),
        (
            "steps: [{above: 2, input: 1, output: 1}, {above: 2, input: 1, output: 1}]",
            "prices.steps: must rise: `above: 2` comes after `above: 2`",
        ),
    ],
)
def test_steps_and_tiers_that_cannot_be_are_told_at_their_field(directory, fields, expected):
    text = model(f"prices: {{input: 1, output: 1, {fields}}}")

    problems = [str(problem) for problem in check(directory.write(text))]

    assert any(expected in problem for problem in problems), problems
