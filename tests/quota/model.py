"""A store of grants that is plainly right: it keeps everything, and counts anew for every question."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from quota.counted import Counted, Key
from quota.given import Booked, Given, first_of, held_by, take

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import Enforcement, LimitKind, Subject, WindowMode
from meshgate.quota.grants import (
    Alert,
    Booking,
    Extension,
    Grant,
    GrantOutcome,
    GrantSettlement,
    Hold,
    Lease,
    LimitReached,
    LimitState,
    NotGranted,
    Release,
    Settlement,
)
from meshgate.quota.shards import shard_of
from meshgate.quota.windows import calendar_bounds
from meshgate.runtime.deadline import Deadline

_TOKENS = {LimitKind.TOKENS, LimitKind.INPUT_TOKENS, LimitKind.OUTPUT_TOKENS}


@dataclass
class Recorder:
    """Remembers what a store tells beside its answers."""

    alerts: list[Alert] = field(default_factory=list)
    abandonments: int = 0

    def alerted(self, alert: Alert) -> None:
        self.alerts.append(alert)

    def abandoned(self, count: int) -> None:
        self.abandonments += count


class ModelStore:
    """A `GrantStore` in memory.

    Args:
        now: The time in milliseconds.
        events: Is told of what happens beside the answers.
    """

    def __init__(self, now: Callable[[], int], events: Recorder) -> None:
        self._now = now
        self._events = events
        self.grants: dict[tuple[str, str], Given | None] = {}
        self.spent: dict[Key, list[Booked]] = {}
        self._sequences: set[tuple[str, str, int]] = set()
        self._alerted: dict[tuple[Key, int], int] = {}

    # ------------------------------------------------------------------ the port

    async def hold(self, items: Sequence[Hold], deadline: Deadline) -> Sequence[GrantOutcome]:
        self._look_through(items)
        return [self._grant(item, item.amounts) for item in items]

    async def lease(self, items: Sequence[Lease], deadline: Deadline) -> Sequence[GrantOutcome]:
        self._look_through(items)
        return [self._grant(item, item.least) for item in items]

    async def extend(
        self, items: Sequence[Extension], deadline: Deadline
    ) -> Sequence[GrantOutcome]:
        self._look_through(items)
        return [self._extend(item) for item in items]

    async def release(self, items: Sequence[Release], deadline: Deadline) -> None:
        for item in items:
            self._release(item)

    async def settle(
        self, items: Sequence[GrantSettlement], deadline: Deadline
    ) -> Sequence[Sequence[Booking]]:
        return [self._settle(item) for item in items]

    async def sweep(self, deadline: Deadline) -> int:
        before = self._events.abandonments
        for given in self.grants.values():
            self._notice_end(given)
        return self._events.abandonments - before

    def _look_through(self, items: Sequence[Hold] | Sequence[Lease] | Sequence[Extension]) -> None:
        """Before anything is granted in a shard, what has come free there is noticed."""
        shards = {shard_of(item.partition) for item in items}
        for (partition, _), given in self.grants.items():
            if shard_of(partition) in shards:
                self._notice_end(given)

    # ------------------------------------------------------------------ what counts

    def total(self, counted: Counted) -> int:
        """What is spent and held under a limit now."""
        return sum(amount for _, amount in self._counting(counted))

    def held(self, counted: Counted) -> int:
        """What of it is only held."""
        return sum(
            booked.amount
            for given in self._given()
            if given.is_live
            for booked in held_by(given, counted)
            if self._counts(counted, booked.moment)
        )

    def _counting(self, counted: Counted) -> Iterator[tuple[int, int]]:
        """Bucket and amount of everything that counts now."""
        found = list(self.spent.get(counted.key, ()))
        for given in self._given():
            found += held_by(given, counted)
        for booked in found:
            if self._counts(counted, booked.moment):
                yield counted.bucket(booked.moment), booked.amount

    def _counts(self, counted: Counted, moment: int) -> bool:
        leaves = counted.leaves(counted.bucket(moment))
        return leaves is None or leaves > self._now()

    def _given(self) -> Iterator[Given]:
        return (given for given in self.grants.values() if given is not None)

    # ------------------------------------------------------------------ granting

    def _grant(self, item: Hold | Lease, least: Amounts) -> GrantOutcome:
        key = item.partition, item.grant_id
        limits = _limits(item.partition, item.subjects)
        if key in self.grants:
            given = self.grants[key]
            if given is None or given.given_back:
                return NotGranted.RELEASED
            return self._answer(given, limits, repeated=True)
        refusal = self._refusal(limits, least)
        if refusal is not None:
            return refusal
        amounts = least
        if isinstance(item, Lease):
            amounts += item.unit.times(self._units(item, limits))
        now = self._now()
        lease_ms = self._lease_ms(item, limits, amounts)
        given = Given(item, now, now + round(item.ttl_seconds * 1_000), lease_ms)
        given.held = {counted: [] for counted in limits}
        given.add(now, amounts)
        self.grants[key] = given
        self._alert(one for one in limits if amounts.of(one.limit.kind))
        return self._answer(given, limits)

    def _refusal(self, limits: Iterable[Counted], need: Amounts) -> LimitReached | None:
        worst: LimitReached | None = None
        for counted in _hard(limits):
            limit, needed, used = counted.limit, need.of(counted.limit.kind), self.total(counted)
            if not needed or used + needed <= limit.amount:
                continue
            wait = self._wait(counted, needed) / 1_000
            if worst is None or wait > worst.retry_after_seconds:
                remaining = max(limit.amount - used, 0)
                worst = LimitReached(counted.subject_name, limit, remaining, needed, wait)
        return worst

    def _wait(self, counted: Counted, needed: int) -> int:
        """Until it fits if nothing else happens; soon if others only hold what is missing."""
        now, limit = self._now(), counted.limit
        if needed > limit.amount:
            return counted.length(now)
        left = self.total(counted)
        wait = counted.length(now)
        for bucket, amount in sorted(self._counting(counted)):
            left -= amount
            leaves = counted.leaves(bucket)
            if left + needed <= limit.amount and leaves is not None:
                wait = leaves - now
                break
        if self.total(counted) - self.held(counted) + needed <= limit.amount:
            wait = min(wait, 2_000)
        return wait

    def _units(self, item: Lease, limits: Iterable[Counted]) -> int:
        count = item.unit_count
        for counted in _hard(limits):
            kind = counted.limit.kind
            unit = item.unit.of(kind)
            if unit:
                left = counted.limit.amount - self.total(counted) - item.least.of(kind)
                share = 16 if kind is LimitKind.CONCURRENCY else 64
                count = min(count, left // (share * unit))
        return max(count, 0)

    def _lease_ms(self, item: Hold | Lease, limits: Iterable[Counted], amounts: Amounts) -> int:
        if isinstance(item, Hold):
            return 0
        if amounts.concurrency and amounts == Amounts(concurrency=amounts.concurrency):
            return round(item.ttl_seconds * 1_000)
        now = self._now()
        ends = [counted.ends(now) for counted in limits]
        return min([2_000, *(end - now for end in ends if end is not None)])

    def _answer(self, given: Given, limits: list[Counted], *, repeated: bool = False) -> Grant:
        states = [
            self._tightest(limits, {LimitKind.REQUESTS}),
            self._tightest(limits, _TOKENS),
        ]
        return Grant(
            given.amounts,
            given.granted_at,
            given.lease_ms / 1_000,
            tuple(state for state in states if state is not None),
            repeated,
        )

    def _tightest(self, limits: Iterable[Counted], kinds: set[LimitKind]) -> LimitState | None:
        found = [
            (max(one.limit.amount - self.total(one), 0), one)
            for one in _hard(limits)
            if one.limit.kind in kinds
        ]
        if not found:
            return None
        remaining, counted = min(
            found, key=lambda pair: pair[0] / pair[1].limit.amount if pair[1].limit.amount else 0
        )
        return LimitState(counted.subject_name, counted.limit, remaining, self._reset(counted))

    def _reset(self, counted: Counted) -> float | None:
        now, limit = self._now(), counted.limit
        if limit.mode is None or limit.unit is None:
            return None
        if limit.mode is WindowMode.CALENDAR:
            return (calendar_bounds(limit.unit, limit.time_zone, now).end - now) / 1_000
        used = [bucket for bucket, amount in self._counting(counted) if amount]
        return ((counted.leaves(max(used)) or 0) - now) / 1_000 if used else 0.0

    def _extend(self, item: Extension) -> GrantOutcome:
        given = self.grants.get((item.partition, item.grant_id))
        if given is None or not given.is_live:
            return NotGranted.UNKNOWN
        more = item.total.minus(given.amounts)
        if more != NOTHING:
            refusal = self._refusal(given.held, more)
            if refusal is not None:
                return refusal
            given.add(self._now(), more)
            self._alert(one for one in given.held if more.of(one.limit.kind))
        given.expires = max(given.expires, self._now() + round(item.ttl_seconds * 1_000))
        places = Amounts(concurrency=given.amounts.concurrency)
        if isinstance(given.item, Lease) and given.amounts == places != NOTHING:
            given.lease_ms = given.expires - given.granted_at
        return self._answer(given, list(given.held))

    # ------------------------------------------------------------------ giving back and booking

    def _release(self, item: Release) -> None:
        key = item.partition, item.grant_id
        given = self.grants.setdefault(key, None)
        self._notice_end(given)
        if given is None or given.ended:
            return
        unsettled = item.used.minus(given.settled)
        kept = Amounts(
            unsettled.requests,
            unsettled.input_tokens,
            unsettled.output_tokens,
            unsettled.cost_nanos,
            item.used.concurrency,
        ).at_most(given.remaining)
        back = given.remaining.minus(kept)
        for counted, held in given.held.items():
            take(reversed(held), back.of(counted.limit.kind))
        given.remaining, given.given_back, given.ended = kept, True, kept == NOTHING

    def _settle(self, item: GrantSettlement) -> list[Booking]:
        given = self.grants.get((item.partition, item.grant_id))
        self._notice_end(given)
        bookings = []
        for one in item.settlements:
            mark = item.partition, item.grant_id, one.sequence
            if mark in self._sequences:
                bookings.append(Booking.REPEATED)
            elif given is None or given.ended:
                bookings.append(self._book_unheld(item, one))
            else:
                bookings.append(self._book_held(given, one))
            self._sequences.add(mark)
        if given is not None and given.remaining == NOTHING != given.amounts:
            given.ended = True
        return bookings

    def _book_unheld(self, item: GrantSettlement, settlement: Settlement) -> Booking:
        moment = self._now() if item.grant_time is None else min(item.grant_time, self._now())
        spent = _without_concurrency(settlement.spent)
        limits = _limits(item.partition, item.subjects)
        for counted in limits:
            if counted is not first_of(limits, counted.key):
                continue
            amount = spent.of(counted.limit.kind)
            if amount and self._counts(counted, moment):
                self._book(counted, moment, amount)
                self._alert(one for one in limits if one.key == counted.key)
        return Booking.UNHELD

    def _book_held(self, given: Given, settlement: Settlement) -> Booking:
        held = settlement.held.at_most(given.remaining)
        if isinstance(given.item, Hold):
            held = given.remaining
        given.remaining = given.remaining.minus(held)
        given.settled += held
        for counted, portions in given.held.items():
            kind = counted.limit.kind
            spent = _without_concurrency(settlement.spent).of(kind)
            taken = take(portions, held.of(kind))
            if counted is not first_of(given.held, counted.key):
                continue
            for moment, part in taken:
                self._book(counted, moment, min(part, spent))
                spent -= min(part, spent)
            # What was not held is booked where the latest part was.
            self._book(counted, portions[-1].moment, spent)
        self._alert(given.held)
        return Booking.LATE if given.abandoned else Booking.BOOKED

    def _book(self, counted: Counted, moment: int, amount: int) -> None:
        booked = self.spent.setdefault(counted.key, [])
        if all(other.moment != moment for other in booked):
            booked.append(Booked(moment, 0))
        next(other for other in booked if other.moment == moment).amount += amount

    def _notice_end(self, given: Given | None) -> None:
        """What an owner held who is gone is as good as spent; its places are free."""
        if given is None or not given.is_live or given.expires > self._now():
            return
        if given.remaining == NOTHING:
            given.ended = True
            return
        given.remaining = _without_concurrency(given.remaining)
        for counted, held in given.held.items():
            if counted.limit.kind is LimitKind.CONCURRENCY:
                held[:] = [Booked(held[-1].moment, 0)]
        given.abandoned = given.given_back = True
        self._events.abandoned(1)

    def _alert(self, limits: Iterable[Counted]) -> None:
        for counted in tuple(limits):
            limit, used = counted.limit, self.total(counted)
            if limit.enforcement is not Enforcement.SOFT or used <= limit.amount:
                continue
            key, now = (counted.key, limit.amount), self._now()
            told = self._alerted.get(key)
            if told is not None and self._same_window(counted, told, now):
                continue
            self._alerted[key] = now
            self._events.alerted(Alert(counted.partition, counted.subject_name, limit, used))

    def _same_window(self, counted: Counted, told: int, now: int) -> bool:
        if counted.limit.unit is None:
            return now - told < 60_000
        if counted.limit.mode is None:
            return True
        if counted.limit.mode is WindowMode.CALENDAR:
            return counted.bucket(told) == counted.bucket(now)
        return now - told < counted.length(now)


def _limits(partition: str, subjects: Iterable[Subject]) -> list[Counted]:
    return [
        Counted(partition, subject.name, limit) for subject in subjects for limit in subject.limits
    ]


def _hard(limits: Iterable[Counted]) -> Iterator[Counted]:
    return (one for one in limits if one.limit.enforcement is not Enforcement.SOFT)


def _without_concurrency(amounts: Amounts) -> Amounts:
    return Amounts(
        amounts.requests, amounts.input_tokens, amounts.output_tokens, amounts.cost_nanos
    )
