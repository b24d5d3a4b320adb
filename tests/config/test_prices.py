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
