"""Where snapshots come from, and how a process learns of new ones."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import structlog

from meshgate.config.loading import load_files
from meshgate.config.problems import ConfigurationError, Problem
from meshgate.config.snapshot import Snapshot

# Half of the second within which a key must die that has left the file.
POLL_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class ConfigSource(Protocol):
    """Gives the configuration, and again when it changes."""

    def current(self) -> Snapshot:
        """The latest snapshot that was good. Does no input or output."""
        ...

    def poll(self) -> Snapshot:
        """Look whether it has changed, and return what is current now. May be called in a thread."""
        ...

    def changes(self) -> AsyncIterator[Snapshot]:
        """Every snapshot after the one that is current at the call, without end.

        Several may iterate at once. Who is slow gets the latest one and not those between. Call it
        before `current`, so that nothing is missed between the two.
        """
        ...


class FixedSource:
    """A configuration that never changes."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def current(self) -> Snapshot:
        return self._snapshot

    def poll(self) -> Snapshot:
        return self._snapshot

    async def changes(self) -> AsyncIterator[Snapshot]:
        await asyncio.Event().wait()
        yield self._snapshot


class FileSource:
    """The configuration of a file and of those that it includes.

    A changed file is looked for every `interval` seconds while somebody iterates over `changes`.
    A change that cannot be used is logged once and refused: the snapshot before it stays.

    Raises:
        ConfigurationError: The file cannot be used at the start.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval: float = POLL_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        loading = load_files(path)
        if isinstance(loading.outcome, ConfigurationError):
            raise loading.outcome
        self._path = path
        self._interval = interval
        self._sleep = sleep
        self._snapshot = loading.outcome
        self._files = loading.files
        self._refused: tuple[Problem, ...] = ()
        self._polling = threading.Lock()

    def current(self) -> Snapshot:
        return self._snapshot

    def changes(self) -> AsyncIterator[Snapshot]:
        return self._changes_since(self._snapshot.revision)

    async def _changes_since(self, seen: str) -> AsyncIterator[Snapshot]:
        while True:
            await self._sleep(self._interval)
            await asyncio.to_thread(self.poll)
            snapshot = self._snapshot
            if snapshot.revision != seen:
                seen = snapshot.revision
                yield snapshot

    def poll(self) -> Snapshot:
        """Look whether the files have changed, and return what is current now.

        Compares the files' bytes: times and sizes miss a quick edit that keeps the length.
        """
        with self._polling:
            if self._files.read_again() != self._files:
                self._reload()
            return self._snapshot

    def _reload(self) -> None:
        loading = load_files(self._path)
        self._files = loading.files
        if isinstance(loading.outcome, ConfigurationError):
            self._refuse(loading.outcome.problems)
            return
        self._refused = ()
        if loading.outcome.revision != self._snapshot.revision:
            self._snapshot = loading.outcome
            _log.info("configuration changed", revision=self._snapshot.revision)

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        if problems != self._refused:
            self._refused = problems
            _log.error(
                "configuration refused, the one before it stays",
                revision=self._snapshot.revision,
                problems=[str(problem) for problem in problems],
            )
