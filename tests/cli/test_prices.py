"""`meshgate prices`."""

import json

import pytest

from meshgate.config.loading import load
from meshgate.pricing.table import shipped

CONFIGURATION = """\
providers:
  openai: {kind: openai, api_key: "${env:NO_SUCH_KEY}"}
  gemini:
    kind: openai-compatible
    base_url: https://generativelanguage.googleapis.com/v1beta/openai
  demo: {kind: demo}
models:
  smart:
    targets:
      - {provider: openai, model: gpt-5}
      - {provider: gemini, model: gemini-2.5-pro}
      - {provider: openai, model: gpt-5, prices: {input: 1, output: 2.5, request: 0.01}}
      - {provider: demo}
"""


@pytest.fixture(autouse=True)
def _configured(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MESHGATE_CONFIG", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "priced.yaml").write_text(CONFIGURATION)


def test_the_table_is_told_with_sources_and_dates(run) -> None:
    result = run("prices")

    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    [row] = [row for row in rows if row[:2] == ["openai", "gpt-4o"]]
    entry = shipped().find("https://api.openai.com/v1", "gpt-4o")
    assert entry is not None
    assert row[2:] == ["2.5", "1.25", "10", "batch,", "priority", entry.date, entry.source]
    assert f"table/{shipped().version}" in result.stdout


def test_all_of_the_table_is_told_as_json(run) -> None:
    listed = json.loads(run("prices", "--json").stdout)

    assert listed["version"] == shipped().version
    assert len(listed["models"]) == len(shipped().entries)
    [gemini] = [each for each in listed["models"] if each["model"] == "gemini-2.5-pro"]
    assert gemini["prices"]["steps"][0]["above"] == 200_000
    assert gemini["prices"]["tiers"]["batch"]["input"] == "0.625"


def test_a_model_is_told_with_who_says_what_it_costs(run) -> None:
    result = run("prices", "smart", "--config", "priced.yaml")

    assert result.exit_code == 0
    version = shipped().version
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"openai/gpt-5: table/{version}, as https://")
    assert lines[1] == "  input 1.25, cached_input 0.125, cache_creation 1.25, output 10"
    assert any(line.startswith("  priority: input 2.5, ") for line in lines)
    assert any(line.startswith("  above 200,000 tokens: input 2.5, ") for line in lines)
    assert lines[-3].startswith("openai/gpt-5: configured (")
    assert lines[-2] == ("  input 1, cached_input 1, cache_creation 1, output 2.5, request 0.01")
    assert lines[-1].startswith("demo/smart: unpriced: ")


def test_and_so_it_is_as_json(run) -> None:
    told = json.loads(run("prices", "smart", "--config", "priced.yaml", "--json").stdout)

    assert told["model"] == "smart"
    assert [target["status"] for target in told["targets"]] == [
        "table",
        "table",
        "configured",
        "unpriced",
    ]
    assert told["targets"][0]["price_version"] == f"table/{shipped().version}"
    assert "source" in told["targets"][0]
    assert "prices" not in told["targets"][3]


def test_what_is_told_can_be_written_into_a_configuration(run, tmp_path) -> None:
    told = json.loads(run("prices", "smart", "--config", "priced.yaml", "--json").stdout)
    written = {
        "providers": {"demo": {"kind": "demo"}},
        "models": {
            f"m{at}": {"targets": [{"provider": "demo"}], "prices": target["prices"]}
            for at, target in enumerate(told["targets"][:3])
        },
    }
    (tmp_path / "written.yaml").write_text(json.dumps(written))

    models = load(tmp_path / "written.yaml").models
    before = load(tmp_path / "priced.yaml").models["smart"].targets

    for at in range(3):
        prices, was = models[f"m{at}"].targets[0].prices, before[at].prices
        assert prices is not None
        assert was is not None
        for tier in ("", "batch", "flex", "priority"):
            for tokens in (1, 200_001):
                now, then = prices.at(tier, tokens), was.at(tier, tokens)
                assert now.input_nanos == then.input_nanos
                assert now.output_nanos == then.output_nanos
                assert now.cached_input_nanos == then.cached_input_nanos


def test_without_a_configuration_it_is_of_what_the_environment_holds(run, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")

    result = run("prices", "gpt-4o-mini")

    assert result.stdout.startswith("openai/gpt-4o-mini: table/")


def test_a_model_that_is_not_there_is_told_with_those_that_are(run) -> None:
    result = run("prices", "dull", "--config", "priced.yaml")

    assert result.exit_code == 1
    assert "no model 'dull' in the configuration, which has smart" in result.stderr


def test_a_configuration_with_problems_is_told_with_them(run, tmp_path) -> None:
    (tmp_path / "bad.yaml").write_text("models: {a: {targets: [{provider: b}]}}\n")

    result = run("prices", "a", "--config", "bad.yaml")

    assert result.exit_code == 1
    assert "bad.yaml:1: models.a.targets[0].provider" in result.stderr
