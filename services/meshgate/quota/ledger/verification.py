"""Looking for tampering: follows every chain, derives again what reports count, and sums it up again.

What it cannot see: a chain that was made anew as a whole, by somebody who may write everything.
That shows only where its head of an earlier day is kept elsewhere.
"""

import base64
import binascii
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from meshgate.quota.ledger.findings import (
    ComparedHours,
    Fault,
    Link,
    Part,
    follow,
    wrong_with_hours,
)
from meshgate.quota.ledger.kept_links import ChainHead, Passage, compared
from meshgate.runtime import page_tokens
from meshgate.runtime.errors import InvalidRequestError

USUAL_PAGE_SIZE = 50_000
_LARGEST_PAGE_SIZE = 50_000
# So few at a time that whoever waits for a hold in the same process does not notice.
_A_PART = 64
_IDS_A_PART = 500
# The database does the work of these.
_SUMMED_LINES_A_PART = 5_000
# A page ends before it is full when it has so many faults, or has taken so long.
_MOST_FAULTS = 1_000
_LONGEST_SECONDS = 4.0
_LONGEST_TOKEN = 4_096


class Verified(Struct, frozen=True):
    """What was found in a part of the ledger.

    Attributes:
        faults: What is wrong.
        entry_count: How many entries were looked at.
        erased_count: Of these, how many were erased on demand.
        heads: Of each chain that was followed to its end.
        next_page_token: For the next call; empty at the end.
    """

    faults: Sequence[Fault]
    entry_count: int
    erased_count: int
    heads: Sequence[ChainHead]
    next_page_token: str


class Verification(Protocol):
    """Looks the ledger through, a page at a time."""

    async def verify(self, page_token: str, page_size: int) -> Verified:
        """Look at the next entries: at most `page_size`, or as many as is usual when 0.

        Raises:
            InvalidRequestError: The token was not made here, or the size is below 0.
            ServiceUnavailableError: The database does not answer.
        """
        ...

    async def compare(self, kept: Sequence[ChainHead]) -> Sequence[Fault]:
        """What is wrong with chains that had these links once.

        Raises:
            ServiceUnavailableError: The database does not answer.
        """
        ...


class StoredId(Struct, frozen=True):
    """An id, where it leads, and whether its entry is there."""

    entry_id: str
    shard: int
    sequence: int
    has_entry: bool


class StoredBooks(Protocol):
    """What is stored. Every method raises ServiceUnavailableError."""

    async def next_shard(self, after: int | None) -> int | None:
        """The next chain of which there is anything at all."""
        ...

    async def part(self, shard: int, after: int | None, count: int) -> Part:
        """About `count` entries after a sequence, or the first ones, as of one moment."""
        ...

    async def ids(self, after: str, count: int) -> Sequence[StoredId]:
        """Ids in their order, at most so many."""
        ...

    async def passage(self, shard: int, sequence: int) -> Passage:
        """What is there of a chain at a place, as of one moment."""
        ...

    async def erased_entries(self) -> int:
        """How many entries were erased on demand, by what the erasures say."""
        ...

    async def hours(self, after: int | None, count: int) -> ComparedHours:
        """Compare hours' sums after a moment, or the first ones: of about `count` lines."""
        ...


class _Place(Struct, frozen=True, array_like=True):
    """How far it is.

    Attributes:
        shard: The chain; None before the first.
        after: The last sequence that was looked at; None at the beginning of the chain.
        link: Where the chain stands.
        entry_id: The last id that was looked at; None while there are chains to follow.
        erased: How many erased entries there were so far.
        is_end: Whether all is done.
        is_at_hours: Whether chains and ids are done.
        hour: The last moment up to which hours' sums were compared; None before the first.
    """

    shard: int | None = None
    after: int | None = None
    link: Link = Link()
    entry_id: str | None = None
    erased: int = 0
    is_end: bool = False
    is_at_hours: bool = False
    hour: int | None = None


class Verifier:
    """A `Verification`.

    Args:
        books: What is looked at.
        moment: The time in seconds. Tests give it.
    """

    def __init__(self, books: StoredBooks, moment: Callable[[], float] = time.monotonic) -> None:
        self._books = books
        self._moment = moment

    async def verify(self, page_token: str, page_size: int) -> Verified:
        size = page_tokens.page_size(page_size, USUAL_PAGE_SIZE, _LARGEST_PAGE_SIZE)
        page = _Page(self._books, _place_of(page_token), size)
        ends_at = self._moment() + _LONGEST_SECONDS
        while await page.go_on() and self._moment() < ends_at:
            pass
        return page.result()

    async def compare(self, kept: Sequence[ChainHead]) -> Sequence[Fault]:
        found = [
            compared(link, await self._books.passage(link.shard, link.sequence)) for link in kept
        ]
        return [fault for fault in found if fault is not None]


class _Page:
    """A page that is being made."""

    def __init__(self, books: StoredBooks, place: _Place, size: int) -> None:
        self._books = books
        self._place = place
        self._room = size
        self._entries = 0
        self._erased = 0
        self._faults: list[Fault] = []
        self._heads: list[ChainHead] = []

    async def go_on(self) -> bool:
        """Look at a little more; whether there is more to be looked at in this page."""
        place = self._place
        if place.is_at_hours:
            await self._look_at_hours(place.hour)
        elif place.entry_id is not None:
            await self._look_at_ids(place.entry_id)
        elif place.shard is None:
            await self._enter_next_shard()
        else:
            await self._look_at_part(place.shard)
        return not self._place.is_end and self._room > 0 and len(self._faults) < _MOST_FAULTS

    def result(self) -> Verified:
        token = "" if self._place.is_end else _token(self._place)
        return Verified(self._faults, self._entries, self._erased, self._heads, token)

    async def _enter_next_shard(self, after: int | None = None) -> None:
        shard = await self._books.next_shard(after)
        erased = self._place.erased
        self._place = _Place(shard, erased=erased, entry_id="" if shard is None else None)

    async def _look_at_part(self, shard: int) -> None:
        place = self._place
        part = await self._books.part(shard, place.after, min(_A_PART, self._room))
        followed = follow(part, place.link)
        erased = sum(1 for entry in part.entries if entry.content is None)
        self._faults.extend(followed.faults)
        self._entries += len(part.entries)
        self._erased += erased
        self._room -= len(part.entries)
        self._place = replace(place, link=followed.link, erased=place.erased + erased)
        if part.is_last:
            self._heads.append(ChainHead(shard, followed.link.sequence, followed.link.chain))
            await self._enter_next_shard(shard)
        else:
            self._place = replace(self._place, after=part.entries[-1].sequence)

    async def _look_at_ids(self, after: str) -> None:
        count = min(_IDS_A_PART, self._room)
        ids = await self._books.ids(after, count)
        self._faults.extend(
            Fault(found.shard, found.sequence, "an id leads to it, and it has no such entry")
            for found in ids
            if not found.has_entry
        )
        self._room -= len(ids)
        if len(ids) == count:
            self._place = replace(self._place, entry_id=ids[-1].entry_id)
            return
        await self._compare_erased()
        self._place = _Place(is_at_hours=True)

    async def _compare_erased(self) -> None:
        """After all of them, since more may have been erased meanwhile: that is no fault."""
        found, told = self._place.erased, await self._books.erased_entries()
        if found > told:
            message = f"{found} entries have no content, and only {told} were erased on demand"
            self._faults.append(Fault(0, 0, message))

    async def _look_at_hours(self, after: int | None) -> None:
        found = await self._books.hours(after, min(_SUMMED_LINES_A_PART, self._room))
        self._faults.extend(wrong_with_hours(found))
        self._room -= max(1, found.line_count)
        self._place = replace(self._place, hour=found.last, is_end=found.last is None)


def _token(place: _Place) -> str:
    """Not signed: who changes it deceives but himself."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def _place_of(token: str) -> _Place:
    if not token:
        return _Place()
    try:
        if len(token) <= _LONGEST_TOKEN:
            content = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
            return msgspec.msgpack.decode(content, type=_Place)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        pass
    raise InvalidRequestError(
        "the page token is not one that was given out: begin without one", field="page_token"
    )
