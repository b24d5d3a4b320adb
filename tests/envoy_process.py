"""A real Envoy for tests, in front of whatever listens at given addresses."""

import asyncio
import contextlib
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from plain_http import TRUSTS_NOBODY

from meshgate.edge import binary, rendering
from meshgate.edge.rendering import Address, EdgeSettings

START_SECONDS = 20
STOP_SECONDS = 10


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def edge_settings(
    routing: Sequence[Address],
    *,
    auth: Sequence[Address] | None = None,
    quota: Sequence[Address] | None = None,
    trusted_proxy_hops: int = 0,
) -> EdgeSettings:
    """Settings of an Envoy on a free port, with a directory of its own under /tmp.

    Without addresses of `auth` and `quota`, they lie where `routing` does.
    """
    # Not pytest's tmp_path: the path of a Unix socket is limited to 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="meshgate-edge-"))
    return EdgeSettings(
        listen=Address("127.0.0.1", free_port()),
        routing=tuple(routing),
        auth=tuple(routing if auth is None else auth),
        quota=tuple(routing if quota is None else quota),
        files=rendering.laptop_files(),
        admin_socket=directory / "admin.sock",
        access_log=directory / "access.log",
        health_check_interval_seconds=0.25,
        trusted_proxy_hops=trusted_proxy_hops,
    )


@dataclass(frozen=True)
class RunningEnvoy:
    settings: EdgeSettings
    pid: int
    admin: httpx.AsyncClient = field(repr=False)

    @property
    def grpc_target(self) -> str:
        return f"{self.settings.listen.host}:{self.settings.listen.port}"

    @property
    def base_url(self) -> str:
        return f"http://{self.grpc_target}"

    async def stat(self, name: str) -> int:
        """One counter or gauge, for instance `cluster.routing.membership_healthy`."""
        answer = await self.admin.get("/stats", params={"filter": f"^{name}$", "format": "json"})
        [stat] = [s for s in answer.json()["stats"] if s.get("name") == name]
        return stat["value"]

    async def logged(self, request_id: str) -> dict[str, Any]:
        """The line of the access log about a request; waits until it has been written."""
        async with asyncio.timeout(5):
            while True:
                for entry in self._log():
                    if entry["request_id"] == request_id:
                        return entry
                await asyncio.sleep(0.02)

    def _log(self) -> list[dict[str, Any]]:
        lines = Path(self.settings.access_log).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@asynccontextmanager
async def running_envoy(settings: EdgeSettings) -> AsyncIterator[RunningEnvoy]:
    """Starts Envoy, yields once it listens, and stops it."""
    directory = Path(settings.admin_socket).parent
    config = directory / "envoy.yaml"
    rendering.write(settings, config)
    with (directory / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *binary.command(binary.find(), config, log_flush_seconds=0.05), stderr=log
        )
    transport = httpx.AsyncHTTPTransport(uds=str(settings.admin_socket), verify=TRUSTS_NOBODY)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as admin:
            await _until_ready(process, admin, directory / "envoy.log")
            yield RunningEnvoy(settings, process.pid, admin)
        # Kept where something failed: the log may say why.
        shutil.rmtree(directory)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()


async def _until_ready(
    process: asyncio.subprocess.Process, admin: httpx.AsyncClient, log: Path
) -> None:
    async with asyncio.timeout(START_SECONDS):
        while not await _is_ready(admin):
            if process.returncode is not None:
                raise RuntimeError(f"Envoy did not start, see {log}")
            await asyncio.sleep(0.02)


async def _is_ready(admin: httpx.AsyncClient) -> bool:
    try:
        return (await admin.get("/ready")).status_code == 200
    except httpx.TransportError:
        return False
