"""`meshgate up`: the whole gateway on this machine."""

import asyncio
import contextlib
import ipaddress
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from meshgate.cli.announcement import Announcement
from meshgate.cli.configuration import print_problems
from meshgate.cli.data_directory import DataDirectory, data_directory_option
from meshgate.cli.examples import examples
from meshgate.cli.mesh import SEPARATE, TOGETHER, Mesh, Plan
from meshgate.cli.migrate import database_urls, migrated
from meshgate.cli.ports import free_port, is_free
from meshgate.cli.redis_server import (
    ANSWERS,
    COUNTERS,
    EmbeddedRedis,
    ExternalRedis,
    RedisMissingError,
    RedisServer,
    RedisUse,
    find_server,
)
from meshgate.cli.supervision import StartError, Supervisor
from meshgate.config.discovery import discover
from meshgate.config.loading import check, load
from meshgate.config.secrets import LocalSecrets
from meshgate.config.snapshot import Snapshot
from meshgate.edge.assets import AssetsMissingError
from meshgate.edge.binary import BinaryMissingError, find
from meshgate.edge.rendering import Address
from meshgate.runtime.environment import SettingError

_DEFAULT_CONFIG = Path("meshgate.yaml")
# Each for the services that need it, not for all.
_PRIVATE = (
    "MESHGATE_ADMIN_KEY",
    "MESHGATE_KEY_PEPPER",
    "AUTH_DATABASE_URL",
    "LEDGER_DATABASE_URL",
    "REDIS_URL",
    "CACHE_REDIS_URL",
)


def _ip_address(_context: click.Context, _option: click.Parameter, host: str) -> str:
    try:
        return str(ipaddress.ip_address("127.0.0.1" if host == "localhost" else host))
    except ValueError:
        raise click.BadParameter(f"{host!r} is not an IP address") from None


@click.command(
    "up",
    short_help="Start the whole gateway on this machine.",
    epilog=examples(
        "meshgate up",
        "meshgate up --config team.yaml --port 9090 --workers 4",
        "meshgate up --compact --ready-file /tmp/ready.json",
    ),
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="MESHGATE_CONFIG",
    help="The configuration.  [default: ./meshgate.yaml if there is one, else what the environment"
    " holds keys for, else the demo provider]",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, callback=_ip_address)
@data_directory_option
@click.option("--compact", is_flag=True, help="All services in each process.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes of `guardrails`, `provider` and `routing`; with --compact, of everything.",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Receives JSON when everything serves, and is removed at the end.",
)
@click.option("--json", "as_json", is_flag=True, help="Print that JSON when everything serves.")
def up_command(  # noqa: PLR0913 - one for each option
    *,
    config: Path | None,
    port: int,
    host: str,
    data_directory: DataDirectory,
    compact: bool,
    workers: int,
    ready_file: Path | None,
    as_json: bool,
) -> None:
    """Start the whole gateway on this machine: Envoy and every service, each in its own process.

    What dies is started again. Ctrl-C (or SIGTERM) stops everything, after the requests in flight;
    a second one stops at once.
    """
    public = Address(host, port or free_port(host))
    with data_directory.locked(), data_directory.socket("envoy-admin.sock") as admin_socket:
        _check_machine(public)
        config_file, snapshot = _configuration(config)
        urls = database_urls(data_directory)
        migrated(urls)
        plan = Plan(
            public=public,
            shape=TOGETHER if compact else SEPARATE,
            workers=workers,
            variables=_variables(config_file),
            private={
                "auth": _auth_variables(data_directory, urls["auth"]),
                "quota": {"LEDGER_DATABASE_URL": urls["ledger"]},
            },
            redis=_redis("REDIS_URL", COUNTERS, data_directory.redis),
            cache_redis=_redis("CACHE_REDIS_URL", ANSWERS, data_directory.cache_redis),
            directory=data_directory.path,
            admin_socket=admin_socket,
        )
        announcement = Announcement(
            plan=plan,
            logs=data_directory.logs,
            admin_key_file=(
                None if os.environ.get("MESHGATE_ADMIN_KEY") else data_directory.admin_key_file
            ),
            ready_file=ready_file,
            model=next(iter(snapshot.models), "MODEL"),
        )
        news = announcement.json if as_json else announcement.text
        try:
            asyncio.run(_Run(plan, announcement, lambda mesh: click.echo(news(mesh))).run())
        except (StartError, SettingError, OSError) as error:
            raise click.ClickException(str(error)) from None


def _check_machine(public: Address) -> None:
    try:
        find(os.environ)
        free = is_free(public.host, public.port)
    except (BinaryMissingError, AssetsMissingError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {public.host}:{public.port} ({error.strerror}): choose another "
            "--host or --port"
        ) from None
    if not free:
        raise click.ClickException(
            f"{public.host}:{public.port} is taken: stop what listens there, or choose another "
            "--port"
        )


def _configuration(config: Path | None) -> tuple[Path | None, Snapshot]:
    """The file that the services read, if any, and what it says.

    Raises:
        click.ClickException: There is something wrong; all of it is printed.
    """
    if config is None and _DEFAULT_CONFIG.is_file():
        config = _DEFAULT_CONFIG
    if config is None:
        return None, _discovered()
    problems = check(config, LocalSecrets(os.environ))
    if problems:
        print_problems(problems)
        raise SystemExit(1)
    return config.absolute(), load(config)


def _discovered() -> Snapshot:
    try:
        discovery = discover(os.environ)
    except SettingError as error:
        raise click.ClickException(str(error)) from None
    for notice in discovery.notices:
        _say(notice)
    return discovery.snapshot


def _variables(config_file: Path | None) -> dict[str, str]:
    """What all services inherit."""
    own = ("MESHGATE_CONFIG", *_PRIVATE)
    variables = {name: value for name, value in os.environ.items() if name not in own}
    if config_file is not None:
        variables["MESHGATE_CONFIG"] = str(config_file)
    return variables


def _auth_variables(data_directory: DataDirectory, database_url: str) -> dict[str, str]:
    """What `auth` alone is told: as the environment says, else as the data directory has it."""
    env = os.environ
    return {
        "MESHGATE_ADMIN_KEY": env.get("MESHGATE_ADMIN_KEY") or data_directory.made_admin_key(),
        "MESHGATE_KEY_PEPPER": env.get("MESHGATE_KEY_PEPPER") or data_directory.made_key_pepper(),
        "AUTH_DATABASE_URL": database_url,
    }


def _redis(variable: str, use: RedisUse, directory: Path) -> RedisServer:
    """The server that a variable of the environment names, or else one of our own.

    Raises:
        click.ClickException: There is neither.
    """
    url = os.environ.get(variable)
    if url:
        return ExternalRedis(url)
    try:
        return EmbeddedRedis(find_server(), directory, os.environ, use)
    except RedisMissingError as error:
        raise click.ClickException(str(error)) from None


class _Run:
    """One run of the gateway, from its start to a signal."""

    def __init__(
        self, plan: Plan, announcement: Announcement, announce: Callable[[Mesh], None]
    ) -> None:
        self._plan = plan
        self._announcement = announcement
        self._announce = announce
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()

    async def run(self) -> None:
        """Start, serve until a signal, stop.

        Raises:
            StartError: A process does not come to serve; all others were stopped.
        """
        self._handle_signals()
        logs = self._announcement.logs
        self._announcement.forget()
        try:
            async with Supervisor(
                logs, _say, changed=lambda: self._announcement.renew(mesh)
            ) as supervisor:
                mesh = Mesh(self._plan, supervisor)
                if await _unless(self._stop, mesh.start()):
                    await self._serve(mesh)
        finally:
            self._announcement.forget()

    async def _serve(self, mesh: Mesh) -> None:
        self._announcement.write(mesh)
        self._announce(mesh)
        await _unless(self._stop, mesh.tend())
        _say("stopping, after the requests in flight (Ctrl-C again stops at once)")
        await _unless(self._stop_now, mesh.stop())

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        # Under nohup a terminal that goes away is none of our business.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._stop_now.set()
        self._stop.set()


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work unless the event comes first; say whether it was done."""
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if working.done():
        working.result()
        return True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return False


def _say(text: str) -> None:
    # The terminal may be gone, which is no reason to leave processes behind.
    with contextlib.suppress(OSError):
        click.echo(f"meshgate: {text}", err=True)
