"""Compiles the two C programs into the cache, once for each version of their source."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path.home() / ".cache" / "meshgate-bench"
SOURCES = Path(__file__).parent


class CompileError(Exception):
    """There is no C compiler, or it refused."""


def compiled(name: str) -> Path:
    """The program made from `name`.c.

    Raises:
        CompileError: It cannot be made; the message says what to do.
    """
    source = SOURCES / f"{name}.c"
    program = CACHE / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if program.exists():
        return program
    print(f"compiling {source.name} ...", file=sys.stderr)
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_suffix(f".{os.getpid()}")
    command = [*_compiler(), "-O2", "-Wall", "-o", str(unfinished), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(f"{shlex.join(command)} failed:\n{done.stderr}")

    return unfinished.rename(program)


def _compiler() -> list[str]:
    chosen = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(chosen[0]) is None:
        raise CompileError(
            f"the benchmark needs a C compiler and there is no `{chosen[0]}`: install gcc "
            "(apt-get install gcc, dnf install gcc, ...), or name another one in CC"
        )
    return chosen
