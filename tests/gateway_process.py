"""A whole gateway for tests: `meshgate up` with a real Envoy, and a fake upstream behind it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from envoy_process import free_port
from plain_http import TRUSTS_NOBODY

# More than `meshgate up` itself allows, so that it says what is missing.
START_SECONDS = 150
STOP_SECONDS = 20
KEY = "mg-test-0123456789abcdef"
SMALL_KEY = "mg-small-0123456789abcdef"
UPSTREAM_KEY = "sk-upstream-secret-value"
ADMIN_KEY = "mg-admin-0123456789abcdef"

CONFIGURATION = """
providers:
  main: {{kind: openai-compatible, base_url: "{upstream}/v1", api_key: "${{env:UPSTREAM_KEY}}"}}
  openai: {{kind: openai, base_url: "{upstream}/v1", api_key: "${{env:UPSTREAM_KEY}}"}}
  responding:
    {{kind: openai, base_url: "{upstream}/v1", api_key: "${{env:UPSTREAM_KEY}}", api: responses}}
  nobody: {{kind: openai-compatible, base_url: "http://127.0.0.1:{closed_port}/v1"}}
  mistral: {{kind: mistral, base_url: "{upstream}/v1", api_key: "${{env:UPSTREAM_KEY}}"}}
  deepseek: {{kind: deepseek, base_url: "{upstream}/v1", api_key: "${{env:UPSTREAM_KEY}}"}}
  demo: {{kind: demo, word_delay: 1ms}}
  claude: {{kind: anthropic, base_url: "{upstream}/v1", api_key: "${{env:UPSTREAM_KEY}}"}}
  gemini: {{kind: gemini, base_url: "{upstream}/v1beta", api_key: "${{env:UPSTREAM_KEY}}"}}
models:
  gpt-4o-mini:
    targets: [{{provider: main, model: gpt-4o-mini-2024-07-18}}]
    retries: {{attempts: 2, backoff: {{initial: 10ms, max: 50ms}}}}
  hasty:
    targets: [{{provider: main, model: gpt-4o-mini}}]
    retries: {{attempts: 1}}
    timeouts: {{connect: 1s, first_token: 300ms, between_tokens: 300ms, total: 5s}}
  one-try:
    targets: [{{provider: main, model: gpt-4o-mini}}]
    retries: {{attempts: 1}}
  unreachable:
    targets: [{{provider: nobody}}]
    retries: {{attempts: 2, backoff: {{initial: 10ms, max: 50ms}}}}
  with-fallback:
    targets: [{{provider: nobody}}]
    retries: {{attempts: 1}}
    fallbacks: [gpt-4o-mini]
  responses:
    targets:
      - {{provider: openai, model: up-1, prices: &of-responses {{input: 1, cached_input: 0.5, output: 2}}}}
    retries: {{attempts: 1}}
  responses-translated:
    targets: [{{provider: main, model: up-1, prices: *of-responses}}]
    retries: {{attempts: 1}}
  responses-only:
    targets: [{{provider: responding, model: up-1, prices: *of-responses}}]
    retries: {{attempts: 1}}
  responses-cached:
    targets: [{{provider: openai, model: gpt-4o-mini}}]
    cache: {{mode: exact, ttl: 1h}}
  responses-guarded:
    targets: [{{provider: openai, model: gpt-4o-mini}}]
    retries: {{attempts: 1}}
    guardrails: [careful]
  cached:
    targets: [{{provider: main, model: gpt-4o-mini}}]
    cache: {{mode: exact, ttl: 1h}}
  guarded:
    targets: [{{provider: main, model: gpt-4o-mini}}]
    retries: {{attempts: 1}}
    guardrails: [careful]
  guarded-open:
    targets: [{{provider: main, model: gpt-4o-mini}}]
    retries: {{attempts: 1}}
    guardrails: [lenient]
  guarded-cached:
    targets: [{{provider: main, model: gpt-4o-mini}}]
    cache: {{mode: exact, ttl: 1h}}
    guardrails: [careful]
  text-embedding-3-small:
    targets: [{{provider: main}}]
  cached-embeddings:
    targets: [{{provider: main, model: text-embedding-3-small}}]
    cache: {{mode: exact, ttl: 1h}}
  gemini-3-flash-preview:
    targets: [{{provider: gemini}}]
    retries: {{attempts: 1}}
  gemini-cached:
    targets: [{{provider: gemini, model: gemini-3-flash-preview}}]
    cache: {{mode: exact, ttl: 1h}}
  gemini-guarded:
    targets: [{{provider: gemini, model: gemini-3-flash-preview}}]
    retries: {{attempts: 1}}
    guardrails: [careful]
  gemini-embedding-001:
    targets: [{{provider: gemini}}]
  vendor/demo:
    targets: [{{provider: demo, model: demo}}]
  claude: &claude
    targets: [{{provider: claude, model: claude-sonnet-4-5}}]
    retries: {{attempts: 1}}
  claude-guarded: {{<<: *claude, guardrails: [careful]}}
  claude-cached: {{<<: *claude, cache: {{mode: exact, ttl: 1h}}}}
  priced-claude:
    targets: [{{provider: claude, model: claude-sonnet-4-5, prices: &rates {{input: 3, output: 15, cached_input: 0.3}}}}]
  priced-one-try:
    targets: [{{provider: main, model: gpt-4o-mini, prices: *rates}}]
{models}
guardrails:
  careful: &careful
    input: [{{action: block, detect: secrets}}, {{action: mask, detect: pii}}]
    output: [{{action: block, detect: secrets}}, {{action: mask, detect: pii}}]
  lenient: {{<<: *careful, on_error: open}}
keys:
  - {{name: test, key: "${{env:TEST_KEY}}"}}
  - {{name: small, key: "${{env:SMALL_KEY}}", models: ["vendor/*"]}}
"""


@dataclass
class Gateway:
    """A running gateway.

    Attributes:
        ready: What the ready file says.
        upstream: The origin of the fake upstream.
        directory: Where its configuration, data and logs lie.
    """

    process: subprocess.Popen[bytes]
    ready: Mapping[str, Any]
    upstream: str
    directory: Path
    mode: str
    stack: str
    key: str = KEY
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return str(self.ready["base_url"])

    @property
    def grpc_target(self) -> str:
        return str(self.ready["grpc_target"])

    @property
    def configuration(self) -> Path:
        return self.directory / "meshgate.yaml"

    def logs(self) -> str:
        """Everything that the gateway has logged or printed."""
        texts = [path.read_text(errors="replace") for path in self.directory.rglob("*.log")]
        return "\n".join(texts)

    def client(self, key: str | None = KEY) -> httpx.AsyncClient:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.AsyncClient(
            base_url=self.base_url,
            headers=headers,
            timeout=60,
            trust_env=False,
            verify=TRUSTS_NOBODY,
        )


@contextmanager
def running_upstream() -> Iterator[str]:
    """A fake upstream in a process of its own; gives its origin."""
    command = [sys.executable, "-m", "upstream", "--api-key", UPSTREAM_KEY]
    process = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        base_url = process.stdout.readline().decode().strip()
        yield base_url.removesuffix("/v1")
    finally:
        _end(process)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def running_gateway(
    directory: Path,
    upstream: str,
    *options: str,
    stack: str = "native",
    variables: Mapping[str, str] | None = None,
    models: str = "",
) -> Iterator[Gateway]:
    """A gateway in front of the upstream, with more variables in its environment if need be.

    `models` are more lines for `models:` of its configuration.
    """
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "meshgate.yaml"
    text = CONFIGURATION.format(upstream=upstream, closed_port=free_port(), models=models)
    configuration.write_text(text)
    ready_file = directory / "ready.json"
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ},
        "UPSTREAM_KEY": UPSTREAM_KEY,
        "TEST_KEY": KEY,
        "SMALL_KEY": SMALL_KEY,
        "MESHGATE_ADMIN_KEY": ADMIN_KEY,
        "MESHGATE_SERVER_STACK": stack,
        **(variables or {}),
    }
    command = [sys.executable, "-m", "meshgate.cli.main", "up", "--config", str(configuration)]
    command += ["--port", str(free_port()), "--data-dir", str(directory / "data")]
    command += ["--ready-file", str(ready_file), *options]
    with (directory / "up.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        ready = _ready(process, ready_file, directory / "up.log")
        mode = "compact" if "--compact" in options else "mesh"
        yield Gateway(process, ready, upstream, directory, mode, stack, environment=environment)
    finally:
        _end(process)


def _ready(process: subprocess.Popen[bytes], ready_file: Path, log: Path) -> dict[str, Any]:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if ready_file.exists():
            ready: dict[str, Any] = json.loads(ready_file.read_text())
            return ready
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"the gateway did not come up:\n{log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
