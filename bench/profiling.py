"""Watches the Python processes of a gateway with py-spy while they are under load."""

import shutil
import subprocess
import sys
from pathlib import Path

from bench.compiling import CACHE
from bench.gateways import Running
from bench.loading import plain
from bench.measuring import Bed
from bench.processes import tree

SECONDS = 6.0
HOW_TO_GET_IT = "--profile needs py-spy: pip install py-spy"


class ProfileError(Exception):
    """There is no py-spy."""


def py_spy() -> str:
    """The program, beside our Python or on PATH. Raises ProfileError."""
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise ProfileError(HOW_TO_GET_IT)
    return found


def profile(program: str, name: str, gateway: Running, bed: Bed) -> list[str]:
    """Profiles every Python process under 64 connections; a line for each says where to look."""
    folder = CACHE / "profiles"
    folder.mkdir(parents=True, exist_ok=True)
    pids = [process.pid for process in tree(gateway.pid) if process.kind == "python"]
    if not pids:
        return []
    files = {
        pid: folder / f"{name}-{gateway.services.get(pid, 'main')}-{pid}.speedscope.json"
        for pid in pids
    }
    watchers = {pid: _watch(program, pid, file, SECONDS * bed.scale) for pid, file in files.items()}
    try:
        # The load outlasts the watchers, which need a moment to begin.
        bed.load(gateway.chat_url, plain(), 64, SECONDS + 2 / bed.scale, gateway.headers)
    finally:
        said = {pid: _end(watcher) for pid, watcher in watchers.items()}

    return [
        str(file) if file.exists() else f"{file.name}: {said[pid]}" for pid, file in files.items()
    ]


def _watch(program: str, pid: int, file: Path, seconds: float) -> subprocess.Popen[str]:
    file.unlink(missing_ok=True)
    command = [program, "record", "--pid", str(pid), "--output", str(file)]
    # py-spy takes whole seconds only.
    length = ["--duration", str(max(1, round(seconds))), "--format", "speedscope"]
    return subprocess.Popen(
        # Threads that wait in native code look busy to py-spy; those with the GIL truly are.
        [*command, *length, "--rate", "200", "--gil"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(watcher: subprocess.Popen[str]) -> str:
    """Waits for a watcher; what it complained of, if it did."""
    try:
        _, complaint = watcher.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        watcher.kill()
        _, complaint = watcher.communicate()
    lines = complaint.strip().splitlines()
    return lines[-1] if lines else "py-spy wrote nothing"
