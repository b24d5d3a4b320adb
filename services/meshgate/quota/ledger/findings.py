"""What is wrong in a part of a chain: pure, from what is stored."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from msgspec import Struct

from meshgate.quota.ledger.entries import (
    ADJUSTMENT_KINDS,
    CHAIN_START,
    RECORD_KINDS,
    Sealed,
    chained,
    digest_of,
)
from meshgate.quota.ledger.labels import Kind
from meshgate.quota.ledger.lines import Line, lines_of_adjustment, lines_of_record
from meshgate.v1 import usage_record_pb2 as pb

NO_NAME = "\x00"
"""In place of a name that a line refers to and that does not exist: no name holds this."""
_NAMED = tuple(kind.name.lower() for kind in Kind)


class Fault(Struct, frozen=True):
    """Something wrong in the ledger.

    Attributes:
        shard: The chain.
        sequence: The entry; 0 for what is of no entry.
        message: What is wrong, in a sentence that repeats nothing of the content.
    """

    shard: int
    sequence: int
    message: str


class Link(Struct, frozen=True, array_like=True):
    """How far a chain goes: its last entry, and the link of that."""

    sequence: int = 0
    chain: bytes = CHAIN_START


class StoredEntry(Struct, frozen=True):
    """An entry as it lies there. The content is None once it was erased."""

    sequence: int
    booked_time: int
    entry_id: str
    kind: int
    content: bytes | None
    digest: bytes
    chain: bytes


class StoredLine(Struct, frozen=True):
    """A line as it lies there, with names in place of their numbers."""

    number: int
    line: Line


class Part(Struct, frozen=True):
    """What is stored of a part of a chain, all as of one moment.

    Attributes:
        shard: The chain.
        start: The last entry that was dropped because of its age.
        head: The last entry, as whoever appends believes; None where there is no head.
        entries: In their order.
        lines: By sequence and booked time.
        places: Of the entries' ids: shard, sequence and booked time.
        is_last: Whether nothing follows.
    """

    shard: int
    start: Link
    head: Link | None
    entries: Sequence[StoredEntry]
    lines: Mapping[tuple[int, int], Sequence[StoredLine]]
    places: Mapping[str, tuple[int, int, int]]
    is_last: bool


class Followed(Struct, frozen=True):
    """What came of following a chain through a part: where it stands now, and what is wrong."""

    link: Link
    faults: Sequence[Fault]


class ComparedHours(Struct, frozen=True):
    """What came of comparing hours' sums with their lines, all as of one moment.

    Attributes:
        differing: When the hours begin whose sums are not those of their lines.
        passing: The chains of which more is said to be summed up than there is.
        line_count: How many lines were looked at.
        last: The last moment that was looked at; None where nothing follows any more.
    """

    differing: Sequence[int]
    passing: Sequence[int]
    line_count: int
    last: int | None


def wrong_with_hours(compared: ComparedHours) -> Iterator[Fault]:
    """What is wrong with hours' sums. It is of no entry."""
    for shard in compared.passing:
        yield Fault(shard, 0, "it is said to be summed up by the hour beyond its head")
    for hour in compared.differing:
        yield Fault(0, 0, f"the sums of {_named_hour(hour)} are not those of its lines")


def _named_hour(begin: int) -> str:
    try:
        return f"the hour from {datetime.fromtimestamp(begin // 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        # A database may hold any moment, once somebody has been at it.
        return f"the hour from {begin} microseconds after 1970"


def follow(part: Part, link: Link) -> Followed:
    """Follow a chain that stands at a link through the part that comes next."""
    walk = _Walk(part, link)
    walk.begin()
    for entry in part.entries:
        try:
            walk.step(entry)
        except (TypeError, ValueError, AttributeError, OverflowError, DecodeError):
            # A database may hold anything, once somebody has been at it.
            walk.note(entry.sequence, "its columns or its content cannot be read")
    walk.end()
    return Followed(walk.link, walk.faults)


class _Walk:
    """Where it stands, and what was found."""

    def __init__(self, part: Part, link: Link) -> None:
        self._part = part
        self.link = link
        self.faults: list[Fault] = []

    def note(self, sequence: int, message: str) -> None:
        self.faults.append(Fault(self._part.shard, sequence, message))

    def begin(self) -> None:
        """What was dropped since the last look moves the beginning."""
        start = self._part.start
        if start.sequence == self.link.sequence and start.chain != self.link.chain:
            self.note(start.sequence, "the chain begins with another link than the entry had")
        if start.sequence >= self.link.sequence:
            self.link = start

    def step(self, entry: StoredEntry) -> None:
        """Look at an entry, and go on to it if it is the next."""
        due = self.link.sequence + 1
        if entry.sequence <= self._part.start.sequence:
            self.note(entry.sequence, "it lies before the beginning of its chain")
        elif entry.sequence < due:
            self.note(entry.sequence, "there is more than one entry with this number")
        else:
            before, self.link = self.link, Link(entry.sequence, entry.chain)
            if entry.sequence > due:
                self.note(due, _missing(due, entry.sequence - 1))
            elif _link_of(entry, before) != entry.chain:
                self.note(
                    entry.sequence,
                    "its link does not follow from the entry before, its kind, time, id and digest",
                )
            for message in _wrong_with(entry, self._part):
                self.note(entry.sequence, message)

    def end(self) -> None:
        """Look at what belongs to no entry, and at the end of the chain at its head."""
        known = {(entry.sequence, entry.booked_time) for entry in self._part.entries}
        for sequence, _ in sorted(self._part.lines.keys() - known):
            self.note(sequence, "there are lines for it, and no entry of their time")
        if not self._part.is_last:
            return
        head, last = self._part.head or Link(), self.link
        if head.sequence > last.sequence:
            self.note(last.sequence + 1, _missing(last.sequence + 1, head.sequence))
        elif head.sequence < last.sequence:
            self.note(head.sequence + 1, "it lies behind the head of its chain")
        elif head.chain != last.chain:
            self.note(head.sequence, "the head of the chain is not the link of its last entry")


def _missing(first: int, last: int) -> str:
    return "it is missing" if first == last else f"it is missing, and all others up to {last}"


def _link_of(entry: StoredEntry, before: Link) -> bytes:
    sealed = Sealed(entry.kind, entry.booked_time, entry.entry_id, entry.digest)
    return chained(before.chain, entry.sequence, sealed)


def _wrong_with(entry: StoredEntry, part: Part) -> Iterator[str]:
    """What is wrong with an entry, but for its link."""
    place = part.places.get(entry.entry_id)
    if place is None:
        yield "its id is not among the ids: it could come in again"
    elif place != (part.shard, entry.sequence, entry.booked_time):
        yield "its id leads to another place"
    lines = sorted(part.lines.get((entry.sequence, entry.booked_time), ()), key=_number)
    if entry.content is None:
        yield from _wrong_with_erased(lines)
        return
    if digest_of(entry.content) != entry.digest:
        yield "its content does not have its digest"
    yield from _wrong_with_lines(lines, _derived(entry.kind, entry.content))


def _wrong_with_lines(stored: Sequence[StoredLine], derived: Sequence[Line]) -> Iterator[str]:
    numbers = [line.number for line in stored]
    if numbers != list(range(len(derived))):
        yield f"it has lines numbered {numbers}, and its content gives {len(derived)}"
        return
    for line, expected in zip(stored, derived, strict=True):
        if line.line != expected:
            fields = [
                name
                for name in Line.__struct_fields__
                if getattr(line.line, name) != getattr(expected, name)
            ]
            yield f"its line {line.number} is not what its content gives: {', '.join(fields)}"


def _wrong_with_erased(stored: Sequence[StoredLine]) -> Iterator[str]:
    """What can still be said where the content is gone."""
    numbers = [line.number for line in stored]
    if numbers != list(range(len(numbers))):
        yield f"it was erased, and of its lines only those numbered {numbers} are there"
    for line in stored:
        if nameless := [name for name in _NAMED if getattr(line.line, name) == NO_NAME]:
            yield f"its line {line.number} refers to names that do not exist: {', '.join(nameless)}"


def _derived(kind: int, content: bytes) -> Sequence[Line]:
    if kind in RECORD_KINDS:
        return lines_of_record(pb.UsageRecord.FromString(content))
    if kind in ADJUSTMENT_KINDS:
        return lines_of_adjustment(pb.Adjustment.FromString(content))
    return ()


def _number(line: StoredLine) -> int:
    return line.number
