"""`meshgate health`: whether one process of the mesh takes calls."""

import json

import click

from meshgate.cli.examples import examples
from meshgate.cli.serving import host_and_port

_DEFAULT = "127.0.0.1:9000"
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what is listened at
_SERVING = "SERVING"


@click.command(
    "health",
    short_help="Ask one process of services whether it takes calls.",
    epilog=examples("meshgate health", "meshgate health routing:9000 --timeout 1"),
)
@click.argument(
    "address",
    metavar="[HOST:PORT]",
    envvar="MESHGATE_LISTEN",
    default=_DEFAULT,
    callback=host_and_port,
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="How long it may take to answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def health_command(*, address: str, timeout: float, as_json: bool) -> None:
    """Ask one process of services whether it takes calls; exit 1 unless it does.

    Without HOST:PORT the process of this machine or container is asked, at MESHGATE_LISTEN or else
    at 127.0.0.1:9000. One that starts or drains answers NOT_SERVING. It needs no key: this is what
    the health check of a container runs.
    """
    host, _, port = address.rpartition(":")
    address = f"{_LOOPBACK.get(host, host)}:{port}"
    health = _asked(address, timeout)
    if as_json:
        click.echo(json.dumps({"address": address, "health": health}, indent=2))
    elif health == _SERVING:
        click.echo(health)
    else:
        raise click.ClickException(f"{address} takes no calls: it starts, or drains")
    if health != _SERVING:
        raise SystemExit(1)


def _asked(address: str, seconds: float) -> str:
    """What grpc.health.v1.Health at an address answers.

    Raises:
        click.ClickException: Nobody answers there in time.
    """
    # Here, so that `meshgate --help` need not load gRPC.
    import grpc  # noqa: PLC0415
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415

    with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=seconds
            )
        except grpc.RpcError as error:
            raise click.ClickException(
                f"no service answers at {address} ({error.code().name}): start one with "
                "`meshgate serve`, or name another HOST:PORT"
            ) from None
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return name
