"""`meshgate prices`: what models cost, and who says so."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from meshgate.cli.configuration import print_problems
from meshgate.cli.examples import examples
from meshgate.cli.table import table
from meshgate.config.discovery import discover
from meshgate.config.loading import load
from meshgate.config.problems import ConfigurationError
from meshgate.config.snapshot import DemoProvider, Snapshot, Target
from meshgate.pricing.money import usd_of_nanos
from meshgate.pricing.prices import Prices
from meshgate.pricing.table import Entry, shipped
from meshgate.pricing.telling import rates, told
from meshgate.runtime.environment import SettingError

_DEFAULT_CONFIG = Path("meshgate.yaml")
_UNPRICED = "unpriced: neither the configuration nor the table has a price"


@click.command(
    "prices",
    short_help="Tell what models cost, and who says so.",
    epilog=examples(
        "meshgate prices", "meshgate prices gpt-4o-mini", "meshgate prices --json gpt-4o-mini"
    ),
)
@click.argument("model", required=False)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="MESHGATE_CONFIG",
    help="The configuration.  [default: ./meshgate.yaml if there is one, else what the environment"
    " holds keys for]",
)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def prices_command(model: str | None, config: Path | None, as_json: bool) -> None:
    """Tell what models cost, in USD for a million tokens, and who says so.

    Without MODEL, the table that comes with the gateway. With it, what that model of the
    configuration costs at each of its targets, and whether the configuration or the table says so.
    """
    if model is None:
        _tell_table(as_json)
    else:
        _tell_model(_snapshot(config), model, as_json)


# ------------------------------------------------------------- the table


def _tell_table(as_json: bool) -> None:
    listed = shipped()
    if as_json:
        models = [_record(entry) for entry in listed]
        click.echo(json.dumps({"version": listed.version, "models": models}, indent=2))
        return
    heads = ("VENDOR", "MODEL", "INPUT", "CACHED", "OUTPUT", "BESIDES", "DATE", "SOURCE")
    click.echo(table(heads, [_row(entry, listed.prices(entry)) for entry in listed]))
    click.echo(f"\ntable/{listed.version}, in USD for a million tokens; --json has all of it.")


def _record(entry: Entry) -> dict[str, Any]:
    return {
        "vendor": entry.vendor,
        "model": entry.model,
        "aliases": list(entry.aliases),
        "source": entry.source,
        "date": entry.date,
        "prices": told(shipped().prices(entry)),
    }


def _row(entry: Entry, prices: Prices) -> Sequence[str]:
    besides = [word for word in rates(prices) if word not in {"input", "cached_input", "output"}]
    if prices.cache_creation_nanos == prices.input_nanos:
        besides.remove("cache_creation")
    besides += [f"above {step.above_tokens:,}" for step in prices.steps]
    besides += [tier.name for tier in prices.tiers]
    return (
        entry.vendor,
        entry.model,
        usd_of_nanos(prices.input_nanos),
        usd_of_nanos(prices.cached_input_nanos),
        usd_of_nanos(prices.output_nanos),
        ", ".join(besides),
        entry.date,
        entry.source,
    )


# ------------------------------------------------------------- a model of the configuration


def _tell_model(snapshot: Snapshot, name: str, as_json: bool) -> None:
    model = snapshot.models.get(name)
    if model is None:
        known = ", ".join(sorted(snapshot.models))
        raise click.ClickException(f"no model {name!r} in the configuration, which has {known}")
    if as_json:
        targets = [_target_record(snapshot, target) for target in model.targets]
        click.echo(json.dumps({"model": name, "targets": targets}, indent=2))
        return
    for target in model.targets:
        click.echo(f"{target.provider}/{target.model}: {_why(snapshot, target)}")
        for line in () if target.prices is None else _lines(target.prices):
            click.echo(f"  {line}")


def _target_record(snapshot: Snapshot, target: Target) -> dict[str, Any]:
    entry = _entry(snapshot, target)
    record: dict[str, Any] = {
        "provider": target.provider,
        "model": target.model,
        "status": target.price_status,
    }
    if entry is not None:
        record |= {"source": entry.source, "date": entry.date}
    if target.prices is not None:
        record |= {"price_version": target.prices.version, "prices": told(target.prices)}
    return record


def _why(snapshot: Snapshot, target: Target) -> str:
    entry = _entry(snapshot, target)
    if entry is not None:
        return f"table/{shipped().version}, as {entry.source} had it on {entry.date}"
    if target.prices is None:
        return _UNPRICED
    return f"configured ({target.prices.version})"


def _entry(snapshot: Snapshot, target: Target) -> Entry | None:
    """The entry that the prices of a target come from."""
    provider = snapshot.providers[target.provider]
    if target.price_status != "table" or isinstance(provider, DemoProvider):
        return None
    return shipped().find(provider.base_url, target.model)


def _lines(prices: Prices) -> Iterator[str]:
    """A line for each tier and step."""
    offers = [("", prices), *((f"{tier.name}: ", tier.prices) for tier in prices.tiers)]
    for name, offer in offers:
        yield f"{name}{_words(offer)}"
        for step in offer.steps:
            yield f"{name}above {step.above_tokens:,} tokens: {_words(step.prices)}"


def _words(prices: Prices) -> str:
    return ", ".join(f"{word} {amount}" for word, amount in rates(prices).items())


def _snapshot(config: Path | None) -> Snapshot:
    if config is None and _DEFAULT_CONFIG.is_file():
        config = _DEFAULT_CONFIG
    try:
        return discover(os.environ).snapshot if config is None else load(config)
    except SettingError as error:
        raise click.ClickException(str(error)) from None
    except ConfigurationError as error:
        print_problems(error.problems)
        raise SystemExit(1) from None
