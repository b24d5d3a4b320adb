"""Processes that are started together, kept alive, and stopped together."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Self

from meshgate.cli.child import Child, Probe, Program
from meshgate.cli.process_log import ProcessLog

BACKOFF_INITIAL_SECONDS = 0.2
BACKOFF_MAX_SECONDS = 10.0
HEALTHY_SECONDS = 30.0
SLOW_SECONDS = 10.0


class StartError(Exception):
    """A process does not come to serve; the text says which, how it ended, and its last words."""


class Backoff:
    """How long to wait before the next attempt: doubled each time, until things went well."""

    def __init__(self) -> None:
        self._next_seconds = BACKOFF_INITIAL_SECONDS

    def next_seconds(self, healthy_seconds: float) -> float:
        """The delay after a life that was healthy for that long."""
        if healthy_seconds >= HEALTHY_SECONDS:
            self._next_seconds = BACKOFF_INITIAL_SECONDS
        delay = self._next_seconds
        self._next_seconds = min(2 * delay, BACKOFF_MAX_SECONDS)
        return delay


class Supervisor:
    """Keeps programs running. Use as a context manager: nothing that it started outlives the block.

    Args:
        logs: The directory for what the programs write.
        say: Tells a person what happens.
        start_seconds: How long a program that says nothing else may take to become ready.
        changed: Called when a program serves again, under another process id.
        now: Seconds of a steady clock.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        logs: Path,
        say: Callable[[str], None],
        start_seconds: float = 60.0,
        *,
        changed: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log_directory = logs
        self._say = say
        self._start_seconds = start_seconds
        self._changed = changed
        self._now = now
        self._sleep = sleep
        self._logs: dict[str, ProcessLog] = {}
        self._programs: dict[str, Program] = {}
        self._children: dict[str, Child] = {}
        self._keepers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        for log in self._logs.values():
            log.close()

    def pid(self, name: str) -> int:
        """The process that is, or was last, the program of that name."""
        return self._children[name].pid

    async def start(self, program: Program, within_seconds: float | None = None) -> None:
        """Start a program, return when it is ready, and restart it whenever it ends.

        Args:
            program: What to start.
            within_seconds: How long it may take this time.

        Raises:
            StartError: It ended, or was not ready in time. Nothing of it is left.
        """
        child = await self._launch(program)
        try:
            await self._until_ready(program, child, within_seconds)
        except BaseException:
            await child.kill()
            raise
        keeper = asyncio.create_task(self._keep(program, child), name=f"keep {program.name}")
        self._keepers.add(keeper)

    async def stop(self, order: Iterable[Collection[str]]) -> None:
        """Stop the programs, those of each group at the same time, one group after the other."""
        await self._keep_no_longer()
        for names in order:
            await asyncio.gather(
                *(
                    self._children[name].stop(self._programs[name].stop_seconds)
                    for name in names
                    if name in self._children
                )
            )

    async def kill(self) -> None:
        """End everything now."""
        await self._keep_no_longer()
        await asyncio.gather(*(child.kill() for child in self._children.values()))

    async def _keep_no_longer(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _launch(self, program: Program) -> Child:
        log = self._logs.get(program.name)
        if log is None:
            path = self._log_directory / f"{program.name}.log"
            log = self._logs[program.name] = ProcessLog(
                path, lambda line: self._say(f"{program.name}: {line}")
            )
        child = await Child.launch(program, log)
        self._programs[program.name] = program
        self._children[program.name] = child
        return child

    async def _until_ready(
        self, program: Program, child: Child, within_seconds: float | None = None
    ) -> None:
        seconds = program.start_seconds or self._start_seconds
        if within_seconds is not None:
            seconds = within_seconds
        probe = program.probe()
        ready = asyncio.create_task(_passed(probe))
        ended = asyncio.create_task(child.ended())
        try:
            done = await _first(min(seconds, SLOW_SECONDS), ready, ended)
            if not done and seconds > SLOW_SECONDS:
                self._say(f"{program.name} does not serve yet{_in_the_way(probe)}; waiting")
                done = await _first(seconds - SLOW_SECONDS, ready, ended)
        finally:
            ready.cancel()
            ended.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)
        if ended in done:
            raise self._start_error(program, f"ended before it served ({ended.result()})")
        if not done:
            what = f"does not serve after {seconds:.0f} s{_in_the_way(probe)}"
            raise self._start_error(program, what)
        ready.result()

    def _start_error(self, program: Program, what: str) -> StartError:
        log = self._logs[program.name]
        log.end_line()
        lines = "".join(f"\n  {line}" for line in log.last_lines()) or "\n  (nothing)"
        return StartError(f"{program.name} {what}; its last words, from {log.path}:{lines}")

    async def _keep(self, program: Program, child: Child) -> None:
        backoff = Backoff()
        how = await child.ended()
        healthy_seconds = 0.0
        while True:
            delay = backoff.next_seconds(healthy_seconds)
            log = self._logs[program.name].path
            self._say(f"{program.name} ended ({how}, see {log}); starting it again in {delay:g} s")
            await self._sleep(delay)
            started = self._now()
            how = await self._live(program)
            healthy_seconds = self._now() - started

    async def _live(self, program: Program) -> str:
        """Run a program once more and say how that ended."""
        try:
            child = await self._launch(program)
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        try:
            await self._until_ready(program, child)
        except StartError:
            await child.kill()
        else:
            self._say(f"{program.name} serves again")
            self._changed()
        return await child.ended()


async def _first(seconds: float, *tasks: asyncio.Task[Any]) -> set[asyncio.Task[Any]]:
    """What is done first of several tasks; nothing if that takes longer."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return done


def _in_the_way(probe: Probe) -> str:
    return probe.obstacle and f" ({probe.obstacle})"


async def _passed(probe: Probe) -> None:
    await probe.passed()
