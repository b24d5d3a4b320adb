"""Logs and metrics of a process, seen from outside, and how it ends."""

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from runtime.binding import BOUND_SECONDS, asking, read, streaming, until
from runtime.hosting import free_port, plain_channel

from meshgate.runtime.telemetry import serve_metrics
from meshgate.v1 import provider_service_pb2_grpc as rpc

TESTS = Path(__file__).parents[1]
TOKEN = "the-token-of-the-mesh"
SECRETS = (TOKEN, "Bearer sk-secret", "text of a prompt")


class HostedProcess:
    """A process of the mesh, and the lines that it has written to stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output = b""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.output += line

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines(keepends=True)]

    def has(self, event: str) -> bool:
        return f'"event":"{event}"'.encode() in self.output

    def port(self) -> int:
        [port] = [line["port"] for line in self.lines() if line["event"] == "serving"]
        return int(port)

    async def ended(self) -> int:
        async with asyncio.timeout(BOUND_SECONDS):
            status = await self.process.wait()
            await self._reading
        return status


@asynccontextmanager
async def hosted(variables: Mapping[str, str]) -> AsyncIterator[HostedProcess]:
    paths = [str(TESTS), *sys.path]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "runtime.hosted",
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "MESHGATE_LISTEN": "127.0.0.1:0",
            "MESHGATE_MESH_TOKEN": TOKEN,
            "MESHGATE_DRAIN_NOTICE": "0s",
            "MESHGATE_DRAIN_GRACE": "10m",
            **variables,
        },
        stderr=asyncio.subprocess.PIPE,
    )
    running = HostedProcess(process)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await running.ended()


@pytest.fixture(params=["grpc", "native"])
async def process(request: pytest.FixtureRequest) -> AsyncIterator[HostedProcess]:
    async with hosted({"MESHGATE_SERVER_STACK": request.param}) as running:
        await until(lambda: running.has("serving") or running.process.returncode is not None)
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_that_is_told_to_end_finishes_its_calls_first(
    process: HostedProcess, number: signal.Signals
) -> None:
    chunks: list[bytes] = []
    async with plain_channel(process.port()) as channel:
        stub = rpc.ProviderServiceStub(channel)
        call = stub.StreamExecute(streaming("flood", b"x" * 1000), timeout=BOUND_SECONDS)
        reading = asyncio.create_task(read(call, chunks))
        await until(lambda: chunks)

        process.process.send_signal(number)
        await until(lambda: process.has("draining"))
        before = len(chunks)
        await until(lambda: len(chunks) > before + 100)
        assert process.process.returncode is None
        call.cancel()
        await asyncio.wait([reading])

    assert await process.ended() == 0


async def test_a_process_ends_though_a_call_outlives_the_grace() -> None:
    async with hosted({"MESHGATE_DRAIN_GRACE": "100ms"}) as process:
        await until(lambda: process.has("serving"))
        async with plain_channel(process.port()) as channel:
            stub = rpc.ProviderServiceStub(channel)
            chunks: list[bytes] = []
            reading = asyncio.create_task(read(stub.StreamExecute(streaming("hang")), chunks))
            await until(lambda: chunks)

            process.process.terminate()

            assert await process.ended() == 0
            with pytest.raises(grpc.aio.AioRpcError):
                await reading


async def test_a_process_without_clients_ends_at_once(process: HostedProcess) -> None:
    process.process.terminate()

    assert await process.ended() == 0


async def test_logs_are_json_with_the_request_id_and_hold_no_secret(
    process: HostedProcess,
) -> None:
    async with plain_channel(process.port()) as channel:
        stub = rpc.ProviderServiceStub(channel)
        for model in ("echo", "broken", "refusing"):
            with suppress(grpc.aio.AioRpcError):
                await stub.Execute(
                    asking(model, b"text of a prompt"),
                    metadata=(
                        ("x-request-id", f"request-{model}"),
                        ("authorization", "Bearer sk-secret"),
                        ("x-meshgate-mesh-token", TOKEN),
                    ),
                    timeout=BOUND_SECONDS,
                )
        with suppress(grpc.aio.AioRpcError):
            await channel.unary_unary("/meshgate.v1.ProviderService/Execute")(b"text of a prompt")
    process.process.terminate()
    await process.ended()

    [line] = [line for line in process.lines() if line["event"] == "unexpected exception"]
    assert line["request_id"] == "request-broken"
    assert line["exception"] == "RuntimeError"
    assert all(
        {"event", "level", "service", "timestamp"} <= line.keys() for line in process.lines()
    )
    for secret in SECRETS:
        assert secret.encode() not in process.output


LIBRARY = """
import logging
from meshgate.runtime.telemetry import configure_logs
configure_logs("provider")
log = logging.getLogger("library")
log.info("too quiet")
log.error("call %d failed", 7, exc_info=ValueError("text of a prompt"))
"""


async def test_what_libraries_log_is_json_too_without_the_text_of_exceptions() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIBRARY, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(BOUND_SECONDS):
        _, output = await process.communicate()

    [line] = [json.loads(line) for line in output.splitlines()]
    assert (line["event"], line["level"]) == ("call 7 failed", "error")
    assert line["exception"] == "ValueError"
    assert b"text of a prompt" not in output


async def test_metrics_are_prometheus_text() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with hosted({"MESHGATE_METRICS_LISTEN": address}) as process:
        await until(lambda: process.has("serving"))
        async with plain_channel(process.port()) as channel:
            await rpc.ProviderServiceStub(channel).Execute(asking("echo"), timeout=BOUND_SECONDS)

        text = await asyncio.to_thread(fetched, f"http://{address}/metrics")

    [count] = [
        line.split()[1]
        for line in text.splitlines()
        if line.startswith("meshgate_rpc_server_duration_seconds_count{")
        and 'method="Execute"' in line
        and 'code="OK"' in line
    ]
    assert float(count) == 1


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=BOUND_SECONDS) as answer:
        return str(answer.read().decode())


def test_a_metrics_address_in_use_is_one_clear_error() -> None:
    server = serve_metrics("127.0.0.1:0")
    address = f"127.0.0.1:{server.server_address[1]}"

    with pytest.raises(OSError, match=f"cannot serve metrics at {address}"):
        serve_metrics(address)

    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("stack", ["grpc", "native"])
async def test_a_process_whose_address_is_in_use_fails_and_says_which(stack: str) -> None:
    first = hosted({"MESHGATE_SERVER_STACK": stack})
    async with first as one:
        await until(lambda: one.has("serving"))
        address = f"127.0.0.1:{one.port()}"

        async with hosted({"MESHGATE_SERVER_STACK": stack, "MESHGATE_LISTEN": address}) as other:
            assert await other.ended() == 1

        assert address.encode() in other.output.splitlines()[-1]
        assert b"ExceptionGroup" not in other.output
