"""Envoy's configuration, made from the template and what differs from place to place."""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from string import Template

from meshgate.edge import assets, replies, tracing
from meshgate.runtime.tracing_settings import TracingSettings


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens.

    Args:
        host: An IP address or a DNS name.
        port: From 1 to 65535.
    """

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What differs between one Envoy and the next.

    Args:
        listen: Where clients come in; an IP address.
        routing: The instances of `routing`. One DNS name may stand for many.
        auth: Those of `auth`, which serves the admin API.
        quota: Those of `quota`, which serves what the admin API tells of usage.
        files: The directory of the Lua files and of meshgate.pb, as Envoy sees it.
        admin_socket: Where Envoy makes its admin socket; at most 107 bytes.
        access_log: Where Envoy writes its access log.
        health_check_interval_seconds: How often it asks each instance whether it serves.
        trusted_proxy_hops: How many proxies in front of Envoy tell the truth in x-forwarded-for.
        traces: Where traces go, and which; None where none are wanted.
    """

    listen: Address
    routing: tuple[Address, ...]
    auth: tuple[Address, ...]
    quota: tuple[Address, ...]
    files: PurePosixPath
    admin_socket: PurePosixPath
    access_log: PurePosixPath
    health_check_interval_seconds: float = 1.0
    trusted_proxy_hops: int = 0
    traces: TracingSettings | None = None


COMPOSE = EdgeSettings(
    listen=Address("0.0.0.0", 8080),  # noqa: S104 - inside a container, that is its own network
    routing=(Address("routing", 9000),),
    auth=(Address("auth", 9000),),
    quota=(Address("quota", 9000),),
    files=PurePosixPath("/etc/envoy"),
    admin_socket=PurePosixPath("/tmp/meshgate-envoy-admin.sock"),  # noqa: S108 - in the container
    access_log=PurePosixPath("/dev/stdout"),
)


def laptop_files() -> PurePosixPath:
    """The directory of the Lua files and of meshgate.pb on this machine, for `EdgeSettings.files`.

    Raises:
        AssetsMissingError: They lie nowhere.
    """
    return PurePosixPath(assets.directory())


def render(settings: EdgeSettings) -> str:
    """The whole bootstrap, in YAML with its comments."""
    return Template(assets.template()).substitute(
        LISTEN_HOST=json.dumps(settings.listen.host),
        LISTEN_PORT=settings.listen.port,
        ROUTING_DISCOVERY=_discovery(settings.routing),
        ROUTING_ENDPOINTS=_endpoints(settings.routing),
        AUTH_DISCOVERY=_discovery(settings.auth),
        AUTH_ENDPOINTS=_endpoints(settings.auth),
        QUOTA_DISCOVERY=_discovery(settings.quota),
        QUOTA_ENDPOINTS=_endpoints(settings.quota),
        LUA_FILE=json.dumps(str(settings.files / assets.LUA)),
        FIELDS_LUA_FILE=json.dumps(str(settings.files / assets.FIELDS_LUA)),
        DESCRIPTOR_FILE=json.dumps(str(settings.files / assets.DESCRIPTOR)),
        ADMIN_SOCKET=json.dumps(str(settings.admin_socket)),
        ACCESS_LOG=json.dumps(str(settings.access_log)),
        HEALTH_CHECK_INTERVAL=f"{settings.health_check_interval_seconds:g}s",
        TRUSTED_PROXY_HOPS=settings.trusted_proxy_hops,
        TRACING=tracing.connection_manager(settings.traces),
        COLLECTOR=tracing.cluster(settings.traces),
        LOCAL_REPLIES=_one_a_line(replies.mappers()),
    )


def write(settings: EdgeSettings, path: Path) -> None:
    """Renders into a file that Envoy can be started with."""
    path.write_text(render(settings), encoding="utf-8")


def _discovery(addresses: tuple[Address, ...]) -> str:
    return "STATIC" if all(_is_ip(address.host) for address in addresses) else "STRICT_DNS"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _endpoints(addresses: tuple[Address, ...]) -> str:
    return json.dumps([_endpoint(address) for address in addresses])


def _endpoint(address: Address) -> replies.Json:
    place = {"address": address.host, "port_value": address.port}
    return {"endpoint": {"address": {"socket_address": place}}}


def _one_a_line(rows: list[replies.Json]) -> str:
    # Continued lines of YAML's flow style must be indented deeper than what they belong to.
    indent = "\n" + " " * 20
    return "[" + indent + ("," + indent).join(json.dumps(row) for row in rows) + "]"
