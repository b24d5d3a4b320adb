"""One life of a process."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from meshgate.cli.process_log import ProcessLog

_TETHER = str(Path(__file__).with_name("tether.py"))
_READ_BYTES = 64 * 1024
_LAST_WORDS_SECONDS = 1.0


class Probe(Protocol):
    """Tells whether a process does its work."""

    obstacle: str
    """What was in the way at the last look; empty where nothing is known."""

    async def passed(self) -> None:
        """Return once the process does its work."""


@dataclass(frozen=True)
class Program:
    """A process that is to run.

    Attributes:
        name: Names it in messages and its log; unique.
        argv: The program and its arguments.
        env: Its whole environment.
        probe: Makes what tells whether a new process serves.
        stop_seconds: How long it may take to end when it is asked to, before it is killed.
        start_seconds: How long it may take to serve, where that is not the supervisor's to say.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    probe: Callable[[], Probe]
    stop_seconds: float = 15.0
    start_seconds: float | None = None


class Child:
    """A process that was started, until it has been waited for.

    It has a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone, and it
    dies with the supervisor.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: ProcessLog) -> None:
        self._process = process
        self._log = log
        self._ending = asyncio.create_task(self._follow(), name=f"process {process.pid}")

    @classmethod
    async def launch(cls, program: Program, log: ProcessLog) -> "Child":
        """Start the program; nothing of it is left where this is cancelled.

        Raises:
            OSError: The machine has no room for another process.
        """
        launching = asyncio.create_task(_launch(program))
        try:
            return cls(await asyncio.shield(launching), log)
        except asyncio.CancelledError:
            # Not every event loop ends a process whose start was cancelled.
            await cls(await launching, log).kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> str:
        """Wait for the end and say how it was."""
        return _outcome(await asyncio.shield(self._ending))

    async def stop(self, within_seconds: float) -> None:
        """Ask it to end, and kill it when it has not after that time."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within_seconds):
                await self.ended()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        await self.ended()

    def _signal(self, number: signal.Signals) -> None:
        # Not send_signal(): it may take the exit status away from the event loop.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _follow(self) -> int:
        reading = asyncio.create_task(self._read())
        status = await self._process.wait()
        # Something that it started may hold the pipe open; its own words are here already.
        await asyncio.wait({reading}, timeout=_LAST_WORDS_SECONDS)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        self._log.end_line()
        return status

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for at the launch
        while data := await self._process.stdout.read(_READ_BYTES):
            self._log.feed(data)


async def _launch(program: Program) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", _TETHER, str(os.getpid()), *program.argv),
        env=dict(program.env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


def _outcome(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
