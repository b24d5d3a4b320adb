"""Brings what was used from the usage streams into the ledger, and only then drops it from there.

Whatever happens in between, the entries are told again, and the ledger takes each once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog
from msgspec import Struct

from meshgate.quota.ledger import observation
from meshgate.quota.ledger.entries import Entry, EntryKind
from meshgate.quota.ledger.intake import Told, entries_of, unreadable
from meshgate.runtime.errors import GatewayError, ServiceUnavailableError

_log = structlog.get_logger("meshgate.quota.ledger")

MOST_ENTRIES = 500
"""About how many entries are written in one transaction."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
# Few transactions: what comes meanwhile is written with it. As one costs as much as a hundred entries,
# they become rarer while use goes on.
_FIRST_GATHER_SECONDS = 0.1
_LONGEST_GATHER_SECONDS = 0.5
# After so many that were read, others have their turn in the loop.
_TURN = 50


class Backlog(Struct, frozen=True):
    """What waits in the streams.

    Attributes:
        entries: How many entries, those that were taken and are not in the ledger yet included.
        age_seconds: How long the oldest has waited.
    """

    entries: int = 0
    age_seconds: float = 0.0


class Taken(Struct, frozen=True):
    """Entries that nobody else is working on, and what waits in all."""

    told: Sequence[Told]
    backlog: Backlog


class Appended(Struct, frozen=True):
    """What became of entries: those that are in the ledger now, and how many had been before."""

    entries: Sequence[Entry]
    repeated: int


class LedgerRefusedError(Exception):
    """The database is well, and cannot hold one of the entries as it is."""


class UsageSource(Protocol):
    """The usage streams.

    Raises:
        ServiceUnavailableError: The store does not answer.
    """

    async def take(self) -> Taken:
        """Entries to be written. Those that are not dropped are told again after a while."""
        ...

    async def measure(self) -> Backlog:
        """What waits."""
        ...

    async def drop(self, told: Sequence[Told]) -> None:
        """Forget entries: they are in the ledger."""
        ...

    async def wait(self) -> None:
        """Until something may have come."""
        ...


class Ledger(Protocol):
    """The books."""

    async def append(self, entries: Sequence[Entry]) -> Appended:
        """Write all that are not there yet; all or nothing.

        Raises:
            ServiceUnavailableError: The database does not answer.
            LedgerRefusedError: It does not take them.
        """
        ...


class Keeper:
    """Keeps the books.

    Args:
        source: What was used.
        ledger: Where it is written.
        sleep: Waits for so many seconds. Tests give it.
    """

    def __init__(
        self,
        source: UsageSource,
        ledger: Ledger,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._sleep = sleep
        self._size = MOST_ENTRIES
        self._pause = _FIRST_PAUSE_SECONDS
        self._why_not: str | None = None
        self._is_blind = False
        self._rest = 0
        self._gathering = _FIRST_GATHER_SECONDS

    async def backlog(self) -> Backlog:
        """What waits. Raises as `UsageSource`'s methods."""
        return await self._source.measure()

    def lacks(self) -> Sequence[str]:
        """What it does without at present."""
        return () if self._why_not is None else ("the database of the ledger does not answer",)

    async def keep(self) -> None:
        """Without end."""
        while True:
            if await self.keep_once():
                self._gathering = min(2 * self._gathering, _LONGEST_GATHER_SECONDS)
            else:
                self._gathering = _FIRST_GATHER_SECONDS
                await self._source.wait()
            if self._rest < MOST_ENTRIES:
                await self._sleep(self._gathering)

    async def keep_once(self) -> bool:
        """Whether there was something to be done."""
        try:
            taken = await self._source.take()
        except ServiceUnavailableError as error:
            await self._cannot_read(error)
            return True
        self._can_read()
        self._rest = taken.backlog.entries - len(taken.told)
        observation.waiting(taken.backlog.entries, taken.backlog.age_seconds)
        if not taken.told:
            return False
        await self._write(list(taken.told))
        return True

    def _can_read(self) -> None:
        if self._is_blind:
            _log.info("usage is read again")
        self._is_blind = False
        self._pause = _FIRST_PAUSE_SECONDS

    async def _cannot_read(self, error: GatewayError) -> None:
        if not self._is_blind:
            _log.warning("usage cannot be read", reason=error.message)
        self._is_blind = True
        await self._back_off()

    async def _write(self, told: list[Told]) -> None:
        """All of it, however long that takes."""
        while told:
            count, entries = await self._next(told)
            try:
                await self._append(entries)
            except ServiceUnavailableError as error:
                await self._fail(error)
            except LedgerRefusedError:
                if count > 1:
                    # It must be one of them: from now on one at a time, until it is found.
                    self._size = 1
                    continue
                await self._keep_unread(told)
            else:
                await self._succeed(told, count)

    async def _next(self, told: Sequence[Told]) -> tuple[int, list[Entry]]:
        """As much as one transaction takes: how many were told, and their entries."""
        entries: list[Entry] = []
        count = 0
        for one in told:
            entries.extend(entries_of(one))
            count += 1
            if len(entries) >= self._size:
                break
            if count % _TURN == 0:
                await asyncio.sleep(0)
        return count, entries

    async def _keep_unread(self, told: list[Told]) -> None:
        """Keep the first as it came, so that it does not stop the others."""
        try:
            await self._append([unreadable(told[0])])
        except ServiceUnavailableError as error:
            await self._fail(error)
        except LedgerRefusedError as error:
            await self._fail(ServiceUnavailableError(f"it refuses everything: {error}"))
        else:
            await self._succeed(told, 1)

    async def _append(self, entries: Sequence[Entry]) -> None:
        appended = await self._ledger.append(entries)
        observation.appended(appended.entries, appended.repeated)
        for entry in appended.entries:
            if entry.kind is EntryKind.UNREADABLE:
                _log.error(
                    "usage that cannot be read is in the ledger as it came", entry_id=entry.entry_id
                )

    async def _succeed(self, told: list[Told], count: int) -> None:
        """The first of them are written."""
        if self._why_not is not None:
            _log.info("the ledger is written again")
        self._why_not = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._size = min(2 * self._size, MOST_ENTRIES)
        written, told[:] = told[:count], told[count:]
        try:
            await self._source.drop(written)
        except ServiceUnavailableError as error:
            # They will be told again, and found to be there.
            _log.warning("usage that is in the ledger is still in the store", reason=error.message)

    async def _fail(self, error: GatewayError) -> None:
        if self._why_not != error.message:
            _log.error(
                "the ledger cannot be written; usage waits in the store", reason=error.message
            )
        self._why_not = error.message
        # Perhaps it is too much for the time that a transaction has.
        self._size = max(1, self._size // 2)
        await self._back_off()
        await self._measure()

    async def _measure(self) -> None:
        try:
            backlog = await self._source.measure()
        except ServiceUnavailableError:
            return
        observation.waiting(backlog.entries, backlog.age_seconds)

    async def _back_off(self) -> None:
        await self._sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
