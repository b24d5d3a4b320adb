"""`meshgate status`: how the gateway fares."""

import json
from collections.abc import Mapping
from typing import Any

import click

from meshgate.cli.data_directory import DataDirectory, data_directory_option
from meshgate.cli.examples import examples
from meshgate.cli.gateway import Gateway
from meshgate.cli.table import table

_SERVING = "SERVICE_HEALTH_SERVING"


@click.command(
    "status",
    short_help="Show the health of every service and provider.",
    epilog=examples("meshgate status", "meshgate status --json"),
)
@data_directory_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status_command(data_directory: DataDirectory, as_json: bool) -> None:
    """Show the health of every service and provider; exit 1 unless every service serves."""
    gateway = Gateway.for_admin(data_directory)
    status = gateway.get("/meshgate/v1/status", "services", "targets")
    if as_json:
        click.echo(json.dumps(status, indent=2))
    else:
        click.echo(_page(gateway.url, status))
    if not all(service["health"] == _SERVING for service in status["services"]):
        raise SystemExit(1)


def _page(url: str, status: Mapping[str, Any]) -> str:
    head = f"{url}  version {status['version']}  configuration {status['config_revision']}"
    services = table(("SERVICE", "HEALTH", "INSTANCES"), [_service(s) for s in status["services"]])
    targets = table(
        ("PROVIDER", "MODEL", "HEALTH", "LAST FAILURE"), [_target(t) for t in status["targets"]]
    )
    return f"{head}\n\n{services}\n\n{targets}"


def _service(service: Mapping[str, Any]) -> tuple[str, ...]:
    instances = f"{service['serving_count']} of {service['instance_count']}"
    return service["service"], _word(service["health"], "SERVICE_HEALTH_"), instances


def _target(target: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        target["target"]["provider"],
        target["target"]["model"],
        _word(target["health"], "TARGET_HEALTH_"),
        _word(target.get("last_failure", ""), "FAILURE_KIND_"),
    )


def _word(value: str, prefix: str) -> str:
    """An enum's value as a person reads it; nothing for one that says nothing."""
    word = value.removeprefix(prefix).lower().replace("_", " ")
    return "" if word == "unspecified" else word
