"""A ledger that knows whose counters there are as soon as it knows of anything they have spent."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import structlog

from meshgate.quota.ledger.counters import Place, shares_of
from meshgate.quota.ledger.entries import Entry
from meshgate.quota.ledger.keeper import Appended, Ledger
from meshgate.runtime.errors import GatewayError

_log = structlog.get_logger("meshgate.quota.ledger")

_MOST_KNOWN = 100_000


class CounterNotes(Protocol):
    """Where counters are noted."""

    async def note(self, places: Collection[Place]) -> int:
        """Note the counters of these, and tell how many.

        Raises:
            ServiceUnavailableError: The store or the database does not answer.
        """
        ...


class NotedLedger:
    """Notes the counters of everyone who comes into the ledger for the first time here.

    That is done before the entries leave the store: what is only in the ledger has its counters noted,
    so that they can be made again when the store is lost, however young they are.

    Args:
        ledger: Is written.
        notes: Where counters are noted.
        most_known: So many are remembered to have come before; then everyone is new again.
    """

    def __init__(self, ledger: Ledger, notes: CounterNotes, most_known: int = _MOST_KNOWN) -> None:
        self._ledger = ledger
        self._notes = notes
        self._most_known = most_known
        self._known: set[Place] = set()
        self._is_away = False

    async def append(self, entries: Sequence[Entry]) -> Appended:
        """As the ledger does; where counters cannot be noted, that waits for the next time."""
        appended = await self._ledger.append(entries)
        await self._note(_places(entries) - self._known)
        return appended

    async def _note(self, new: set[Place]) -> None:
        if not new:
            return
        try:
            await self._notes.note(new)
        except GatewayError as error:
            if not self._is_away:
                _log.warning("new counters cannot be noted", reason=error.message)
            self._is_away = True
            return
        self._is_away = False
        if len(self._known) + len(new) > self._most_known:
            self._known.clear()
        self._known |= new


def _places(entries: Iterable[Entry]) -> set[Place]:
    return {share.place for entry in entries for share in shares_of(entry.kind, entry.content)}
