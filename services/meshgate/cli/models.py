"""`meshgate models`: what may be asked for."""

import json

import click

from meshgate.cli.data_directory import DataDirectory, data_directory_option
from meshgate.cli.examples import examples
from meshgate.cli.gateway import Gateway


@click.command(
    "models",
    short_help="List the models that the gateway serves.",
    epilog=examples("meshgate models", "meshgate models --json"),
)
@data_directory_option
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def models_command(data_directory: DataDirectory, as_json: bool) -> None:
    """List the models that the key may use: that in MESHGATE_KEY, or else the admin key."""
    models = Gateway.for_models(data_directory).get("/v1/models", "data")["data"]
    if as_json:
        click.echo(json.dumps(models, indent=2))
        return
    for model in models:
        click.echo(model["id"])
