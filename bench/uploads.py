"""How much memory uploads take: many at once, of 25 MB each, through a mesh or a compact gateway.

    .venv/bin/python -m bench.uploads [mesh|compact] [uploads at once, ...]

The upstream reads what comes at a pace, and keeps nothing. Of each process the peak of its resident set
is told, over what it was before the first upload; the pages of the file that holds an upload are the
kernel's, and come free when they are needed.
"""

import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.gateways import free_port
from bench.processes import PROC, Process, running, tree

SIZE = 25_000_000
PACE_BYTES = 64 * 1024
PACE_SECONDS = 0.005
READY_SECONDS = 90
CONFIGURATION = """\
providers: {{sink: {{kind: openai-compatible, base_url: "http://127.0.0.1:{upstream}/v1"}}}}
models: {{whisper-1: {{targets: [{{provider: sink}}], retries: {{attempts: 1}}}}}}
keys: [{{name: bench, key: "${{env:BENCH_KEY}}"}}]
"""
ANSWER = b'{"text":"nothing","usage":{"type":"duration","seconds":1}}'


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads requests at a pace, and answers them."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            left = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while left:
                left -= len(await reader.read(min(left, PACE_BYTES)))
                await asyncio.sleep(PACE_SECONDS)
            lines = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            writer.write(lines % len(ANSWER) + ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        writer.close()


async def upload(port: int, key: str) -> None:
    """One upload, its bytes made as they are sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    field = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    opening = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    length = len(field) + len(opening) + SIZE + len(b"\r\n--b--\r\n")
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n"
        f"content-type: multipart/form-data; boundary=b\r\ncontent-length: {length}\r\n"
        "connection: close\r\n\r\n"
    )
    writer.write(head.encode() + field + opening)
    piece, left = b"\0" * PACE_BYTES, SIZE
    while left:
        writer.write(piece[:left])
        left -= min(left, len(piece))
        await writer.drain()
    writer.write(b"\r\n--b--\r\n")
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"an upload was not answered: {answer[:300]!r}")


@contextmanager
def gateway(shape: str, upstream: int, key: str) -> Iterator[tuple[int, int]]:
    """A gateway's root process and its port."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        config, ready = folder / "meshgate.yaml", folder / "ready.json"
        config.write_text(CONFIGURATION.format(upstream=upstream))
        command = [sys.executable, "-m", "meshgate.cli.main", "up", "--config", str(config)]
        command += ["--port", str(port), "--data-dir", str(folder / "data")]
        command += ["--ready-file", str(ready), *(["--compact"] if shape == "compact" else [])]
        with running(command, folder / "up.log", {"BENCH_KEY": key}) as process:
            wait_for(ready, process)
            yield process.pid, port


def wait_for(ready: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the gateway serves."""
    until = time.monotonic() + READY_SECONDS
    while not ready.exists():
        if time.monotonic() > until or process.poll() is not None:
            raise SystemExit("the gateway does not come up")
        time.sleep(0.1)
    json.loads(ready.read_text())


def peaks(root: int) -> dict[Process, float]:
    """The largest resident set that each process has had, in MiB."""
    return {process: _peak(process) for process in tree(root)}


def _peak(process: Process) -> float:
    status = (PROC / str(process.pid) / "status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines.get("VmHWM", "0 kB").split()[0]) / 1024


def command_of(process: Process) -> str:
    """What a process is."""
    words = (PROC / str(process.pid) / "cmdline").read_bytes().split(b"\0")
    told = [word.decode() for word in words if b"meshgate." in word or word.endswith(b"envoy")]
    return told[0].rpartition("/")[2] if told else process.kind


async def main() -> None:
    """Measures, and prints a table."""
    shape = sys.argv[1] if len(sys.argv) > 1 else "mesh"
    rounds = [int(word) for word in sys.argv[2:]] or [1, 4, 16]
    key = "mg-bench-" + secrets.token_hex(16)
    sink = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream = sink.sockets[0].getsockname()[1]
    with gateway(shape, upstream, key) as (root, port):
        table = [("before", {process.pid: peak for process, peak in peaks(root).items()})]
        names = {process.pid: command_of(process) for process in tree(root)}
        for at_once in rounds:
            began = time.monotonic()
            await asyncio.gather(*(upload(port, key) for _ in range(at_once)))
            seconds = time.monotonic() - began
            found = {process.pid: peak for process, peak in peaks(root).items()}
            table.append((f"{at_once} at once, {seconds:.1f} s", found))
    sink.close()
    for pid, name in names.items():
        told = ", ".join(f"{what}: {found.get(pid, 0):.0f}" for what, found in table)
        print(f"{name:<28} peak MiB  {told}")


if __name__ == "__main__":
    asyncio.run(main())
