"""Compares what counters hold with what the books say.

Counters, streams and the ledger are never of one moment. So the counters of a shard are read together with
all that waits there, and the ledger is looked at before and after: what came in between may be counted or
not, and only what lies outside of that is a difference. Nothing is told that a second look does not confirm.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from meshgate.limits.limit import LimitKind
from meshgate.quota.grants import LONGEST_TTL_SECONDS
from meshgate.quota.ledger.books import Booked, LedgerBooks, Sight, Waiting
from meshgate.quota.ledger.counter_store import CounterStore, ShardRead
from meshgate.quota.ledger.counters import (
    Counter,
    CounterName,
    Noted,
    Place,
    Wanted,
    Window,
    window_of,
)
from meshgate.quota.ledger.intake import entries_of
from meshgate.quota.ledger.noting import NotedCounters
from meshgate.quota.shards import SHARD_COUNT

_A_PAGE = 500
_LOOKS = 3
# The parts of a request that lie in different shards are settled one after the other.
_LAG_SECONDS = 2.0
_PAUSE_SECONDS = 0.2
_STRADDLING_MS = int(LONGEST_TTL_SECONDS * 1_000)
_ALL_SHARDS = tuple(range(SHARD_COUNT))


class Finding(Struct, frozen=True):
    """A counter beside the books.

    Attributes:
        noted: Which.
        window: The present one.
        counted: What it holds as spent.
        least: What it should hold at least.
        most: And at most: more has come while it was read.
        is_there: Whether the store has it for this window.
        is_anew: Whether it is gone, or has begun anew since it was noted: the store has lost it.
        is_whole: Whether the ledger has all that counts in the window: nothing was dropped or erased.
    """

    noted: Noted
    window: Window
    counted: int
    least: int
    most: int
    is_there: bool
    is_anew: bool
    is_whole: bool

    @property
    def lacks(self) -> int:
        """How much it holds less than it should."""
        return max(self.least - self.counted, 0)

    @property
    def exceeds(self) -> int:
        """How much it holds more than it should, as far as that can be said."""
        return max(self.counted - self.most, 0) if self.is_whole else 0


class Difference(Struct, frozen=True):
    """A counter that does not hold what the books say.

    Attributes:
        name: Which.
        start: When its window began, in milliseconds; 0 for one that has no end.
        counted: What it holds as spent.
        booked: What the books say.
        message: What this is, in a sentence.
    """

    name: CounterName
    start: int
    counted: int
    booked: int
    message: str


class Reconciled(Struct, frozen=True):
    """What was found in a page of counters.

    Attributes:
        differences: What differs.
        compared: How many counters were compared.
        waiting: How many entries are on their way to the ledger, and were counted in.
        last: Where the page ended; None at the end of all.
    """

    differences: Sequence[Difference]
    compared: int
    waiting: int
    last: CounterName | None


class Glance(Struct, frozen=True):
    """What one look has found, and how many entries waited."""

    findings: Mapping[CounterName, Finding]
    waiting: int


class Comparison:
    """Looks at counters and books.

    Args:
        store: Has the counters.
        books: What the ledger says.
        lag_seconds: For so long, what is counted in one shard may not be noted in another.
        sleep: Waits for so many seconds. Tests give it.
    """

    def __init__(
        self,
        store: CounterStore,
        books: LedgerBooks,
        lag_seconds: float = _LAG_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._books = books
        self._lag_seconds = lag_seconds
        self.sleep = sleep

    async def look(self, noted: Iterable[Noted], *, is_patient: bool = False) -> Glance:
        """Compare counters once.

        Args:
            noted: Which; those whose windows are not compared are left out.
            is_patient: Whether to wait before and after for what is settled in several shards, as
                it matters to counters that organizations share.

        Raises:
            ServiceUnavailableError: The store or the ledger does not answer, or too much waits.
        """
        within = [one for one in noted if not one.name.is_wide]
        wide = [one for one in noted if one.name.is_wide]
        glances = []
        if within:
            glances.append(await self._look(within, {one.name.shard for one in within}, 0.0))
        if wide:
            lag_seconds = self._lag_seconds if is_patient else 0.0
            glances.append(await self._look(wide, set(_ALL_SHARDS), lag_seconds))
        findings = {name: one for glance in glances for name, one in glance.findings.items()}
        return Glance(findings, max((glance.waiting for glance in glances), default=0))

    async def _look(self, noted: Sequence[Noted], shards: set[int], lag_seconds: float) -> Glance:
        heads = await self._books.heads()
        if lag_seconds:
            await self.sleep(lag_seconds)
        read = await self._store.read(_places(noted))
        waiting = read
        if len(shards) > len(read):
            if lag_seconds:
                await self.sleep(lag_seconds)
            waiting = await self._store.read(dict.fromkeys(shards, ()))
        found = _wanted(noted, read)
        since = _sure_until(read, lag_seconds) if waiting is not read else None
        sight = await self._books.look(
            list(found.values()),
            _waiting(waiting.values(), since),
            {shard: heads.get(shard, 0) for shard in shards},
        )
        findings = {
            one.name: _finding(one, wanted, read[one.name.shard], sight)
            for one, wanted in found.items()
        }
        return Glance(findings, sum(len(each.waiting) for each in waiting.values()))


class Reconciliation:
    """Names every counter that does not hold what the books say.

    Args:
        noted: Which counters there are.
        comparison: Looks at them.
        books: What the ledger says.
        page_size: How many counters are compared at once.
    """

    def __init__(
        self,
        noted: NotedCounters,
        comparison: Comparison,
        books: LedgerBooks,
        page_size: int = _A_PAGE,
    ) -> None:
        self._noted = noted
        self._comparison = comparison
        self._books = books
        self._page_size = page_size

    async def reconcile(
        self, after: CounterName | None = None, organization_id: str = ""
    ) -> Reconciled:
        """Compare the next page of counters; the first one begins by noting which there are.

        Raises:
            ServiceUnavailableError: The store or the ledger does not answer, or too much waits.
        """
        if after is None:
            await self._noted.note()
        page = await self._noted.page(after, self._page_size, organization_id)
        glance = await self._comparison.look([one for one in page if one.name.is_kept_exactly])
        compared = sum(1 for one in glance.findings.values() if not _is_past(one))
        findings = await self._confirmed(list(glance.findings.values()))
        differences = [_difference(one) for one in findings]
        last = page[-1].name if len(page) == self._page_size else None
        return Reconciled(differences, compared, glance.waiting, last)

    async def _confirmed(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """Those of which later looks say the same."""
        differing = [one for one in findings if _differs(one)]
        for _ in range(_LOOKS - 1):
            if not differing:
                break
            await self._comparison.sleep(_PAUSE_SECONDS)
            glance = await self._comparison.look([one.noted for one in differing], is_patient=True)
            differing = [one for one in glance.findings.values() if _differs(one)]
        return [one for one in differing if not await self._runs_over(one)]

    async def _runs_over(self, finding: Finding) -> bool:
        """Whether requests explain it that ran while the window began.

        They may have grants of both windows, and their record is in one.
        """
        name, window, limit = finding.noted.name, finding.window, finding.noted.name.limit
        if window.end is None or finding.noted.since > window.start or limit is None:
            return False
        shards = _ALL_SHARDS if name.is_wide else (name.shard,)
        found = await self._books.straddling(window.start, _STRADDLING_MS, shards)
        if finding.exceeds:
            before = found.before.get(name.place)
            return before is not None and finding.exceeds <= before.of(limit.kind)
        after = found.after.get(name.place)
        # Within an organization a record is booked with the grant that it was counted by.
        return name.is_wide and after is not None and finding.lacks <= after.of(limit.kind)


def _places(noted: Iterable[Noted]) -> Mapping[int, Iterable[Place]]:
    places: dict[int, dict[Place, None]] = defaultdict(dict)
    for one in noted:
        places[one.name.shard][one.name.place] = None
    return places


def _wanted(noted: Iterable[Noted], read: Mapping[int, ShardRead]) -> dict[Noted, Wanted]:
    """What to look for in the ledger, of those that have a window."""
    found = {}
    for one in noted:
        window = window_of(one.name, read[one.name.shard].now)
        if window is not None:
            found[one] = Wanted(one.name, one.start_in(window), window.end)
    return found


def _sure_until(read: Mapping[int, ShardRead], lag_seconds: float) -> int:
    """What was noted before is counted as well."""
    return int(min(each.server_time for each in read.values()) - lag_seconds * 1_000)


def _waiting(read: Iterable[ShardRead], sure_until: int | None) -> list[Waiting]:
    return [
        Waiting(entry, sure_until is None or int(told.stream_id.partition("-")[0]) < sure_until)
        for each in read
        for told in each.waiting
        for entry in entries_of(told)
    ]


def _finding(noted: Noted, wanted: Wanted, read: ShardRead, sight: Sight) -> Finding:
    limit, window = noted.name.limit, window_of(noted.name, read.now) or Window()
    kind = LimitKind.REQUESTS if limit is None else limit.kind
    counter = read.counters[noted.name.place].get(noted.name.rule, Counter())
    booked: Booked = sight.booked[wanted]
    return Finding(
        noted=noted,
        window=window,
        counted=counter.spent(window),
        least=booked.least.of(kind),
        most=booked.most.of(kind),
        is_there=counter.was_used_in(window),
        is_anew=not counter.was_used_in(window) or counter.since > noted.since,
        is_whole=sight.has_all(wanted),
    )


def _is_past(finding: Finding) -> bool:
    """Whether the counter is of an earlier window: nobody need have used its limit in this one."""
    return not finding.is_there and not finding.noted.must_be_there(finding.window)


def _differs(finding: Finding) -> bool:
    return not _is_past(finding) and bool(finding.lacks or finding.exceeds)


def _difference(finding: Finding) -> Difference:
    booked = finding.least if finding.lacks else finding.most
    return Difference(
        finding.noted.name, finding.window.start, finding.counted, booked, _message(finding)
    )


def _message(finding: Finding) -> str:
    if not finding.is_there:
        return (
            "the store has lost the counter: it held something in this window, and is gone; "
            "RebuildCounters makes it again"
        )
    if finding.lacks:
        return (
            f"the counter holds {finding.lacks} less than the books: it was lowered or lost, or its "
            "limit was not there all the time; RebuildCounters raises it"
        )
    return (
        f"the counter holds {finding.exceeds} more than the books: it was raised, or entries are "
        "missing from the ledger (VerifyUsage tells), or a running grant got more in this window "
        "than the one it was made in"
    )
