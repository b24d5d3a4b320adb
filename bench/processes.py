"""Starts processes, adds up what they and their children cost, and stops them by their pid."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 10.0
PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process of a tree; pid and start_ticks together name it for good."""

    pid: int
    parent: int
    start_ticks: int
    cpu_ticks: int
    kind: str


def _read(pid: int) -> Process | None:
    """What /proc says; ended children that were waited for are in the cost."""
    try:
        name, _, rest = (PROC / str(pid) / "stat").read_text().rpartition(")")
        program = (PROC / str(pid) / "exe").readlink().name
    except OSError:
        return None
    fields = rest.split()

    return Process(
        pid=pid,
        parent=int(fields[1]),
        start_ticks=int(fields[19]),
        cpu_ticks=sum(int(ticks) for ticks in fields[11:15]),
        kind=kind_of(program or name.partition("(")[2]),
    )


def kind_of(program: str) -> str:
    """`envoy`, `python`, or `other`."""
    return next((kind for kind in ("envoy", "python") if program.startswith(kind)), "other")


def tree(root: int) -> list[Process]:
    """A live process and all below it."""
    everyone = [_read(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit()]
    children: dict[int, list[Process]] = {}
    for process in everyone:
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    found = [process for process in everyone if process is not None and process.pid == root]
    for process in found:  # grows while it is walked
        found += children.get(process.pid, [])

    return found


def cpu_seconds(root: int) -> dict[str, float]:
    """User and system time that a tree has consumed so far, by kind of process."""
    totals: dict[str, float] = {}
    for process in tree(root):
        seconds = process.cpu_ticks / TICKS_PER_SECOND
        totals[process.kind] = totals.get(process.kind, 0.0) + seconds
    return totals


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command for the length of a block, its output in `log`.

    It gets a session of its own, so that Ctrl-C reaches only us and we stop it in order.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = tree(process.pid)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        family = [*family, *tree(process.pid)]  # a supervisor may have started others meanwhile
    for member in family:
        still = _read(member.pid)
        if still is not None and still.start_ticks == member.start_ticks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
    process.wait()
