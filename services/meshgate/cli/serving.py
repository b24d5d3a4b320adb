"""`meshgate serve`: services in this process."""

import importlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import click

from meshgate.cli.examples import examples
from meshgate.runtime.memory import loading

if TYPE_CHECKING:
    from meshgate.runtime.server import Assemble

SERVICES = ("auth", "quota", "cache", "guardrails", "provider", "routing")
"""Those that others call come first: that is the order in which they are assembled."""


def host_and_port(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> str | None:
    """Check an option or argument that names a place to serve at."""
    host, _, port = (value or "").rpartition(":")
    if value is not None and not (host and port.isdecimal()):
        raise click.BadParameter(f"{value!r} is not of the form HOST:PORT")
    return value


@click.command(
    "serve",
    short_help="Host one or several services in this process.",
    epilog=examples(
        "meshgate serve auth --listen 0.0.0.0:9001",
        "meshgate serve auth quota cache guardrails provider routing",
    ),
)
@click.argument("services", nargs=-1, required=True, type=click.Choice(SERVICES))
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=host_and_port,
    help="Where to serve gRPC.  [default: MESHGATE_LISTEN, or else 127.0.0.1:9000]",
)
def serve_command(services: Sequence[str], listen: str | None) -> None:
    """Host one or several services in this process.

    All else is set by environment variables, as docs/operations.md lists them: peers by
    MESHGATE_PEER_<SERVICE>, the token that they share by MESHGATE_MESH_TOKEN, the configuration by
    MESHGATE_CONFIG. Stops on SIGTERM or SIGINT, after the calls in flight.
    """
    run_services(services, {**os.environ, **({"MESHGATE_LISTEN": listen} if listen else {})})


def run_services(services: Sequence[str], variables: dict[str, str]) -> None:
    """Host services until SIGTERM or SIGINT.

    Raises:
        click.ClickException: A setting or the configuration is wrong, or a port is taken.
    """
    names = [name for name in SERVICES if name in services]
    with loading():
        # Here, so that `meshgate --help` and the other commands need none of it.
        from meshgate.runtime.environment import Environment, SettingError  # noqa: PLC0415
        from meshgate.runtime.process import run  # noqa: PLC0415

        # Only now, and only these: a process loads what it hosts.
        assemblies = {name: _assembly(name) for name in names}
    try:
        run(assemblies, Environment(variables))
    except SettingError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot serve: {error.strerror or error}") from None


def _assembly(name: str) -> "Assemble":
    return cast("Assemble", importlib.import_module(f"meshgate.{name}.assembly").assemble)
