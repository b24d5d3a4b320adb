"""Counters of limits beside the books: what a counter is, and what an entry adds to which.

Only windows of a day and longer, by the calendar, and totals are looked at: a rolling window forgets a
tenth of itself at a time, and a shorter one is over before anybody has compared it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Struct
from msgspec.structs import replace

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import Limit, LimitKind, SubjectKind, WindowMode, WindowUnit
from meshgate.quota.ledger.entries import ADJUSTMENT_KINDS, RECORD_KINDS, EntryKind
from meshgate.quota.rules import limit_of
from meshgate.quota.shards import shard_of
from meshgate.quota.windows import calendar_bounds
from meshgate.v1 import usage_record_pb2 as pb

MICROSECONDS = 1_000
"""In a millisecond: the store counts in these, the books in those."""

_EVERYONE = SubjectKind.EVERYONE.value
_MODEL, _TARGET = f"{SubjectKind.MODEL.value}/", f"{SubjectKind.TARGET.value}/"
_LONG = frozenset({WindowUnit.DAY, WindowUnit.WEEK, WindowUnit.MONTH})
_SIGNS = {EntryKind.ABANDONED: 1, EntryKind.RETURNED: -1}
_PARTS_OF_A_BUCKET = 3
# Up to here the store counts.
_MOST = 2**53 - 1
# Leases are made before the requests that use them, and clocks differ.
_SLACK_MS = 5_000


class Used(Struct, frozen=True):
    """Of what limits count in windows, so much; less than nothing for what was given back."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost_nanos + other.cost_nanos,
        )

    def times(self, count: int) -> "Used":
        """So many times as much."""
        return Used(
            self.requests * count,
            self.input_tokens * count,
            self.output_tokens * count,
            self.cost_nanos * count,
        )

    def at_most_nothing(self) -> "Used":
        """Only what is less than nothing of it."""
        return Used(
            min(self.requests, 0),
            min(self.input_tokens, 0),
            min(self.output_tokens, 0),
            min(self.cost_nanos, 0),
        )

    def of(self, kind: LimitKind) -> int:
        """How much of it a limit of this kind counts."""
        amounts = Amounts(self.requests, self.input_tokens, self.output_tokens, self.cost_nanos)
        return amounts.of(kind)


NOTHING_USED = Used()

Place = tuple[str, str]
"""Partition and subject: the counters of these are kept together."""


class CounterName(Struct, frozen=True, order=True):
    """Which counter.

    Attributes:
        partition: Where it lies.
        subject: Whose it is: `key/k_123`.
        rule: What it counts, as the scripts call it: `cost/month/calendar/UTC`.
    """

    partition: str
    subject: str
    rule: str

    @property
    def place(self) -> Place:
        """What it is kept with."""
        return self.partition, self.subject

    @property
    def shard(self) -> int:
        """Where its partition lies."""
        return shard_of(self.partition)

    @property
    def limit(self) -> Limit | None:
        """The limit that it stands for, without its amount; None where that is not known here."""
        try:
            return limit_of(self.rule, 0, 0)
        except ValueError:
            return None

    @property
    def is_wide(self) -> bool:
        """Whether organizations share it."""
        return self.partition == _EVERYONE or self.partition.startswith((_MODEL, _TARGET))

    @property
    def is_kept_exactly(self) -> bool:
        """Whether the books say all that it counts.

        They do not say which models were tried in the place of another, nor attempts that consumed
        nothing; see docs/reconciliation.md.
        """
        limit = self.limit
        if limit is None or self.partition.startswith(_MODEL):
            return False
        return limit.kind is not LimitKind.REQUESTS or not self.partition.startswith(_TARGET)


class Window(Struct, frozen=True):
    """A window of a counter, in milliseconds.

    Attributes:
        start: Its beginning; 0 for a total.
        end: When the next one begins; None for a total.
        previous: When the one before it began.
    """

    start: int = 0
    end: int | None = None
    previous: int = 0


def window_of(name: CounterName, now: int) -> Window | None:
    """The window in which a moment lies; None where the books are not compared with it."""
    limit = name.limit
    if limit is None or limit.kind is LimitKind.CONCURRENCY or limit.unit is None:
        return None
    if limit.unit is WindowUnit.TOTAL:
        return Window()
    if limit.mode is not WindowMode.CALENDAR or limit.unit not in _LONG:
        return None
    try:
        bounds = calendar_bounds(limit.unit, limit.time_zone, now)
    except (ValueError, OSError, KeyError):  # a zone that this machine does not know
        return None
    return Window(bounds.start, bounds.end, bounds.previous)


class Counter(Struct, frozen=True):
    """A counter as the store has it.

    Attributes:
        since: When the first grant that it counts was made, in milliseconds; 0 where it does not say.
        buckets: The beginning, all that counts, and how much of it is held, of each.
    """

    since: int = 0
    buckets: tuple[tuple[int, int, int], ...] = ()

    def was_used_in(self, window: Window) -> bool:
        """Whether anything was booked in a window, be it given back since."""
        return any(start >= window.start for start, _, _ in self.buckets)

    def spent(self, window: Window) -> int:
        """What is spent in a window: all that counts but for what is held."""
        return sum(total - held for start, total, held in self.buckets if start >= window.start)


def counters_in(blob: bytes) -> Mapping[str, Counter]:
    """The counters of a subject, by rule, as the scripts have packed them."""
    found: Any = msgspec.msgpack.decode(blob) if blob else {}
    return {rule: _counter(packed) for rule, packed in dict(found).items()}


def _counter(packed: list[Any]) -> Counter:
    _, _, flat, *since = packed
    numbers = [int(number) for number in flat]
    starts = range(0, len(numbers), _PARTS_OF_A_BUCKET)
    buckets = tuple((numbers[at], numbers[at + 1], numbers[at + 2]) for at in starts)
    return Counter(int(since[0]) if since else 0, buckets)


class Share(Struct, frozen=True):
    """What an entry adds to the counters of a subject."""

    place: Place
    used: Used


def shares_of(kind: EntryKind, content: bytes) -> Iterable[Share]:
    """What an entry of the books adds to whose counters, if they have any; see `storable`."""
    try:
        if kind in RECORD_KINDS:
            return list(_shares_of_record(pb.UsageRecord.FromString(content)))
        if kind in ADJUSTMENT_KINDS:
            return list(_shares_of_adjustment(pb.Adjustment.FromString(content), _SIGNS[kind]))
    except DecodeError:
        pass
    return ()


def _shares_of_record(record: pb.UsageRecord) -> Iterator[Share]:
    used = Used(requests=1)
    for charge in record.charges:
        consumed = _used_by(charge)
        used += consumed
        target = f"{_TARGET}{charge.provider}/{charge.model}"
        yield Share((target, target), consumed + Used(requests=1))
    model = f"{_MODEL}{record.model}"
    yield Share((model, model), used)
    yield Share((_EVERYONE, _EVERYONE), used)
    organization = record.organization_id
    for subject in _subjects_of(record):
        yield Share((organization, subject), used)


def _used_by(charge: pb.Charge) -> Used:
    usage = charge.usage
    return Used(0, usage.input_tokens, usage.output_tokens, charge.cost_nanos)


def _subjects_of(record: pb.UsageRecord) -> Iterator[str]:
    named = {
        SubjectKind.KEY: record.key_id,
        SubjectKind.USER: record.user_id,
        SubjectKind.TEAM: record.team_id,
        SubjectKind.ORGANIZATION: record.organization_id,
    }
    for kind, name in named.items():
        if name:
            yield f"{kind.value}/{name}"
    for name, value in record.tags.items():
        yield f"{SubjectKind.TAG.value}/{name}={value}"


def _shares_of_adjustment(adjustment: pb.Adjustment, sign: int) -> Iterator[Share]:
    amounts = adjustment.amounts
    used = Used(
        sign * amounts.requests,
        sign * amounts.input_tokens,
        sign * amounts.output_tokens,
        sign * amounts.cost_nanos,
    )
    for subject in adjustment.subjects:
        yield Share((adjustment.partition, subject), used)


class Noted(Struct, frozen=True):
    """A counter that was seen in the store.

    Attributes:
        name: Which.
        since: From when on the books are compared with it, in milliseconds.
        seen: When it was last seen to have been used in the window of then.
        spent: The most that it was seen to hold as spent; only of one without an end.
        spent_at: When it held that: what was granted later is not in it. 0 where it was not seen.
    """

    name: CounterName
    since: int = 0
    seen: int = 0
    spent: int = 0
    spent_at: int = 0

    def start_in(self, window: Window) -> int:
        """From when on it counts in a window."""
        return max(window.start, self.since)

    def must_be_there(self, window: Window) -> bool:
        """Whether the store cannot have forgotten it by itself: it was used in this window."""
        return window.end is None or self.seen >= window.start

    def goes_on(self, window: Window) -> bool:
        """Whether it is the same that was seen: the store keeps each for a window after its own."""
        return window.end is None or self.seen >= window.previous

    def with_spent(self, counter: Counter, window: Window, moment: int) -> "Noted":
        """The same, once it was seen again.

        What it held is never lowered. One that was lost and has begun anew tells nothing until it
        is made again: it counts only what came after the loss.
        """
        if window.end is not None:
            return self
        spent = min(max(counter.spent(window), 0), _MOST)
        is_anew = self.spent > 0 and counter.since > self.since
        if is_anew or spent < self.spent:
            return self
        return replace(self, spent=spent, spent_at=moment)


class Wanted(Struct, frozen=True):
    """A counter, and from when on it counts, up to when; in milliseconds."""

    name: CounterName
    start: int
    end: int | None = None

    def counts(self, booked_time: int) -> bool:
        """Whether what was booked for a moment in microseconds counts here."""
        return self.start * MICROSECONDS <= booked_time and (
            self.end is None or booked_time < self.end * MICROSECONDS
        )


def runs_over(content: bytes, boundary: int) -> bool:
    """Whether the request of a record had begun before a moment in milliseconds, and ended after it.

    Its grants may be of both sides, and its record is only of one.
    """
    record = pb.UsageRecord.FromString(content)
    begin, end = record.start_time.ToMilliseconds(), record.end_time.ToMilliseconds()
    return begin - _SLACK_MS < boundary <= end + _SLACK_MS
