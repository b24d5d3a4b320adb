"""The store of grants in Redis or Valkey: one script a verb, one call of it for each shard."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from prometheus_client import Histogram

from meshgate.limits.limit import Subject
from meshgate.quota import redis_calls as calls
from meshgate.quota import redis_scripts as scripts
from meshgate.quota.grants import (
    LONGEST_LEASE_SECONDS,
    LONGEST_TTL_SECONDS,
    Alert,
    Booking,
    Extension,
    GrantOutcome,
    GrantSettlement,
    Hold,
    Lease,
    Release,
)
from meshgate.quota.redis_nodes import Durability, RedisNodes, ScriptCall
from meshgate.quota.redis_scripts import Script
from meshgate.quota.rules import calendar_of
from meshgate.quota.shards import SHARD_COUNT, shard_of, tag_of
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import ServiceUnavailableError

_DUE_A_CALL = 100
_DUE_A_SWEEP = 500
_MOST_RULES_A_CALL = 10_000
_MOST_TRIES = 4
_STALE = 1
_UNKNOWN = "unknown"
_NO_WINDOWS: Mapping[str, tuple[int, int, int]] = {}

_SECONDS = Histogram(
    "meshgate_quota_script_duration_seconds",
    "How long the store took for all shards of a call, by script.",
    ("script",),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

Message = dict[str, Any]
Item = TypeVar("Item", Hold, Lease, Extension, Release, GrantSettlement)


class StoreEvents(Protocol):
    """Is told what happens beside the answers."""

    def alerted(self, alert: Alert) -> None:
        """A soft limit was passed."""

    def abandoned(self, count: int) -> None:
        """So many grants' ttl passed."""


class Keeping(Struct, frozen=True):
    """How much is kept, and for how long.

    Attributes:
        retention_seconds: A grant that has ended is remembered for so long.
        settled_retention_seconds: And what was settled of it, for so long.
        usage_entries: About so many settlements with usage records are kept in a shard; where they wait
            for a ledger, none is dropped, and with so many of them nothing more is granted.
        alert_entries: And so many alerts.
        settled_replicas: On so many replicas' disks a settlement must be, beside the primary's.
        for_ledger: Whether a ledger reads the usage records, and drops them then.
        rebuild_seconds: How long budgets grant nothing, at most, while counters that were lost are made
            again from the ledger; 0 where they are not.
    """

    retention_seconds: float = 600.0
    settled_retention_seconds: float = 3_600.0
    usage_entries: int = 100_000
    alert_entries: int = 1_000
    settled_replicas: int = 0
    for_ledger: bool = False
    rebuild_seconds: float = 0.0


def _no_moment() -> int | None:
    """The scripts take the time of their server."""
    return None


class RedisGrantStore:
    """A `GrantStore` on one server or a cluster.

    Args:
        nodes: Where it is.
        keeping: How much of it.
        events: Is told of alerts and of grants whose ttl passed.
        moment: The time in milliseconds for the scripts; None for that of the server. Tests give it.
    """

    def __init__(
        self,
        nodes: RedisNodes,
        keeping: Keeping,
        events: StoreEvents,
        moment: Callable[[], int | None] = _no_moment,
    ) -> None:
        self._nodes = nodes
        self._events = events
        self._moment = moment
        self._durability = Durability(keeping.settled_replicas)
        self._windows = calls.Windows()
        self._past = calls.Windows()
        self._ahead_ms = 0
        self._fixed = {
            "retention": int(keeping.retention_seconds * 1_000),
            "settled_retention": int(keeping.settled_retention_seconds * 1_000),
            "usage_entries": keeping.usage_entries,
            "ledger": int(keeping.for_ledger),
            "rebuild": int(keeping.rebuild_seconds * 1_000),
            "alert_entries": keeping.alert_entries,
            "lease": int(LONGEST_LEASE_SECONDS * 1_000),
            "longest_ttl": int(LONGEST_TTL_SECONDS * 1_000),
        }

    async def hold(self, items: Sequence[Hold], deadline: Deadline) -> Sequence[GrantOutcome]:
        results = await self._answers(
            scripts.HOLD,
            items,
            lambda item, _: calls.hold_item(item, self._windows, self._now()),
            deadline,
        )
        return [calls.outcome(result) for result in results]

    async def lease(self, items: Sequence[Lease], deadline: Deadline) -> Sequence[GrantOutcome]:
        results = await self._answers(
            scripts.HOLD,
            items,
            lambda item, _: calls.lease_item(item, self._windows, self._now()),
            deadline,
        )
        return [calls.outcome(result) for result in results]

    async def extend(
        self, items: Sequence[Extension], deadline: Deadline
    ) -> Sequence[GrantOutcome]:
        results = await self._answers(
            scripts.EXTEND, items, lambda item, _: calls.extend_item(item), deadline
        )
        return [calls.outcome(result) for result in results]

    async def release(self, items: Sequence[Release], deadline: Deadline) -> None:
        await self._answers(
            scripts.RELEASE, items, lambda item, _: calls.release_item(item), deadline
        )

    async def settle(
        self, items: Sequence[GrantSettlement], deadline: Deadline
    ) -> Sequence[Sequence[Booking]]:
        results = await self._answers(
            scripts.SETTLE, items, calls.settle_item, deadline, self._durability
        )
        unknown = [number for number, result in enumerate(results) if result == _UNKNOWN]
        if unknown:
            described = await self._answers(
                scripts.SETTLE,
                [items[number] for number in unknown],
                self._described,
                deadline,
                self._durability,
            )
            for number, result in zip(unknown, described, strict=True):
                results[number] = result
        return [[Booking(word) for word in result] for result in results]

    async def sweep(self, deadline: Deadline) -> int:
        swept, parts = 0, [_Part(shard, []) for shard in range(SHARD_COUNT)]
        while parts:
            made = [self._call(part, [], due=_DUE_A_SWEEP) for part in parts]
            replies = await self._run(scripts.SWEEP, made, deadline)
            swept += sum(reply.abandoned for reply in replies)
            parts = [part for part, reply in zip(parts, replies, strict=True) if reply.more]
        return swept

    async def _answers(
        self,
        script: Script,
        items: Sequence[Item],
        message: Callable[[Item, list[bytes]], Message],
        deadline: Deadline,
        durability: Durability | None = None,
    ) -> list[Any]:
        """The results of a script for each item.

        Args:
            script: What to run.
            items: What for.
            message: Writes an item, and adds its usage records to a list.
            deadline: For all of it.
            durability: How it must be kept.
        """
        results: list[Any] = [None] * len(items)
        parts, windows = _parts(items), dict[str, tuple[int, int, int]]()
        for _ in range(_MOST_TRIES):
            made = []
            for part in parts:
                records: list[bytes] = []
                messages = [message(items[number], records) for number in part.numbers]
                made.append(self._call(part, messages, records, windows))
            replies = await self._run(script, made, deadline, durability)
            stale = []
            for part, reply in zip(parts, replies, strict=True):
                if reply.status == _STALE:
                    stale.append(part)
                    self._ahead_ms = reply.now - _local_now()
                    windows |= self._looked_up(reply.results, reply.now)
                    continue
                for number, result in zip(part.numbers, reply.results, strict=True):
                    results[number] = result
            if not stale:
                return results
            parts = stale
        raise ServiceUnavailableError(
            "the clocks of quota and of its store disagree", retry_after_seconds=1, service="quota"
        )

    async def _run(
        self,
        script: Script,
        made: Sequence[ScriptCall],
        deadline: Deadline,
        durability: Durability | None = None,
    ) -> list[calls.Reply]:
        started = time.perf_counter()
        try:
            blobs = await self._nodes.run(script, made, deadline, durability)
        finally:
            _SECONDS.labels(script.name).observe(time.perf_counter() - started)
        replies = [calls.decode(blob) for blob in blobs]
        for reply in replies:
            for found in reply.alerts:
                self._events.alerted(calls.alert(found))
        if abandoned := sum(reply.abandoned for reply in replies):
            self._events.abandoned(abandoned)
        return replies

    def _call(
        self,
        part: "_Part",
        messages: Sequence[Message],
        records: Sequence[bytes] = (),
        windows: Mapping[str, tuple[int, int, int]] = _NO_WINDOWS,
        due: int = _DUE_A_CALL,
    ) -> ScriptCall:
        body = calls.encode(
            self._fixed
            | {"tag": tag_of(part.shard), "due": due, "windows": windows, "items": messages}
        )
        moment = self._moment()
        return ScriptCall(part.shard, (b"" if moment is None else moment, body, *records))

    def _described(self, item: GrantSettlement, records: list[bytes]) -> Message:
        return calls.described_item(item, records, self._windows, self._past, self._now())

    def _looked_up(self, identities: Sequence[str], now: int) -> dict[str, tuple[int, int, int]]:
        """The windows that a script asked for."""
        found = {name: self._windows.at(calendar_of(name), now) for name in identities}
        return {name: (at.start, at.end, at.previous) for name, at in found.items()}

    def _now(self) -> int:
        """The moment for which calendar windows are looked up; the script checks them."""
        moment = self._moment()
        return _local_now() + self._ahead_ms if moment is None else moment


@dataclass(frozen=True)
class _Part:
    """Items of one shard, not too many for one call."""

    shard: int
    numbers: list[int]


def _parts(items: Sequence[Item]) -> list[_Part]:
    parts: list[_Part] = []
    open_parts: dict[int, tuple[_Part, int]] = {}
    for number, item in enumerate(items):
        shard, weight = shard_of(item.partition), _weight(item)
        part, gathered = open_parts.get(shard, (None, 0))
        if part is None or gathered + weight > _MOST_RULES_A_CALL:
            part, gathered = _Part(shard, []), 0
            parts.append(part)
        part.numbers.append(number)
        open_parts[shard] = (part, gathered + weight)
    return parts


def _weight(item: Item) -> int:
    """About how many counters the script has to look at."""
    subjects: tuple[Subject, ...] = getattr(item, "subjects", ())
    return 1 + sum(len(subject.limits) for subject in subjects)


def _local_now() -> int:
    return time.time_ns() // 1_000_000
