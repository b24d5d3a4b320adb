"""`meshgate status`: how the gateway fares."""

import json
from collections.abc import Mapping
from typing import Any

import click

from meshgate.cli.data_directory import DataDirectory, data_directory_option
from meshgate.cli.examples import examples
from meshgate.cli.gateway import Gateway
from meshgate.cli.table import table

_MISSING = "SERVICE_HEALTH_NOT_SERVING"


@click.command(
    "status",
    short_help="Show the health of every service and provider.",
    epilog=examples("meshgate status", "meshgate status --json"),
)
@data_directory_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status_command(data_directory: DataDirectory, as_json: bool) -> None:
    """Show the health of every service and provider.

    Exit 1 if a service is missing that requests need. One that is degraded answers what it can.
    """
    gateway = Gateway.for_admin(data_directory)
    status = gateway.get("/meshgate/v1/status", "services", "targets")
    if as_json:
        click.echo(json.dumps(status, indent=2))
    else:
        click.echo(_page(gateway.url, status))
    if any(_is_missing(service) for service in status["services"]):
        raise SystemExit(1)


def _page(url: str, status: Mapping[str, Any]) -> str:
    head = f"{url}  version {status['version']}  configuration {status['config_revision']}"
    services = table(
        ("SERVICE", "HEALTH", "INSTANCES", "VERSION", "DEGRADED"),
        [_service(service) for service in status["services"]],
    )
    targets = table(
        ("PROVIDER", "MODEL", "HEALTH", "LAST FAILURE"), [_target(t) for t in status["targets"]]
    )
    return f"{head}\n\n{services}\n\n{targets}"


def _service(service: Mapping[str, Any]) -> tuple[str, ...]:
    instances = f"{service['serving_count']} of {service['instance_count']}"
    known = service.get("instances", [])
    versions = sorted({one["version"] for one in known if one["version"]})
    reasons = sorted({reason for one in known for reason in one["degraded_reasons"]})
    return (
        service["service"],
        _word(service["health"], "SERVICE_HEALTH_"),
        instances,
        ", ".join(versions),
        "; ".join(reasons),
    )


def _is_missing(service: Mapping[str, Any]) -> bool:
    """Whether requests need it and it does not serve; an older gateway does not say what they need."""
    return service["health"] == _MISSING and bool(service.get("required", True))


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
