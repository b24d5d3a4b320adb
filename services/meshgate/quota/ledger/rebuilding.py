"""Makes counters again from the books, as after a loss of the store. No counter is ever lowered."""

from collections.abc import Container, Iterable, Sequence

import structlog
from msgspec import Struct
from msgspec.structs import replace

from meshgate.quota.ledger.counter_store import CounterStore, Raise
from meshgate.quota.ledger.counters import Noted
from meshgate.quota.ledger.noting import NotedCounters
from meshgate.quota.ledger.reconciliation import Comparison, Finding
from meshgate.quota.shards import SHARD_COUNT
from meshgate.runtime.errors import ServiceUnavailableError

_log = structlog.get_logger("meshgate.quota.ledger")

_A_PAGE = 500
_MOST_TRIES = 20
_PAUSE_SECONDS = 0.05


class Rebuilt(Struct, frozen=True):
    """How many counters were looked at, and how many of them were raised."""

    counters: int = 0
    raised: int = 0


class Rebuilding:
    """Raises counters to what the books say.

    Args:
        noted: Which counters there are, or were.
        store: Has them.
        comparison: Looks at them and the books.
    """

    def __init__(self, noted: NotedCounters, store: CounterStore, comparison: Comparison) -> None:
        self._noted = noted
        self._store = store
        self._comparison = comparison

    async def rebuild(
        self, organization_id: str = "", shards: Container[int] = range(SHARD_COUNT)
    ) -> Rebuilt:
        """Raise all counters that hold less than the books say, or are gone.

        Args:
            organization_id: Only those of this organization.
            shards: Only those that lie here.

        Raises:
            ServiceUnavailableError: The store or the ledger does not answer, or too much waits.
                Some may be raised.
        """
        await self._noted.note()
        counters, raised, after = 0, 0, None
        while True:
            page = await self._noted.page(after, _A_PAGE, organization_id)
            looked, made = await self._raise([one for one in page if one.name.shard in shards])
            counters, raised = counters + looked, raised + made
            if len(page) < _A_PAGE:
                break
            after = page[-1].name
        if raised:
            _log.warning("counters were made again from the ledger", count=raised)
        return Rebuilt(counters, raised)

    async def _raise(self, page: Sequence[Noted]) -> tuple[int, int]:
        findings = await self._look(page)
        looked = sum(1 for one in findings if _is_current(one))
        raised: set[object] = set()
        for _ in range(_MOST_TRIES):
            lacking = [one for one in findings if _must_rise(one)]
            if not lacking:
                return looked, len(raised)
            # Those that hold something else by now are looked at again.
            raised.update(await self._store.raise_counters(_raises(lacking)))
            await self._comparison.sleep(_PAUSE_SECONDS)
            findings = await self._look([one.noted for one in lacking])
        raise ServiceUnavailableError(
            "counters change faster than they can be made again", retry_after_seconds=1
        )

    async def _look(self, noted: Iterable[Noted]) -> Sequence[Finding]:
        """What counters hold, and should hold.

        Where the books do not go back far enough, that is what the counter was seen to hold and
        what the books say came after, if it is more than all that they say.
        """
        found = (await self._comparison.look(noted)).findings
        seen = {name: one for name, one in found.items() if _is_known_only_by_sight(one)}
        if not seen:
            return list(found.values())
        after = (await self._comparison.look([_after_sight(one) for one in seen.values()])).findings
        by_sight = {name: _with_sight(seen[name], one) for name, one in after.items()}
        return [max(one, by_sight.get(name, one), key=_least) for name, one in found.items()]


def _is_current(finding: Finding) -> bool:
    """Whether somebody may still have its limit: it was seen lately."""
    return finding.is_there or finding.noted.goes_on(finding.window)


def _is_known_only_by_sight(finding: Finding) -> bool:
    """Whether what it was seen to hold counts: where the books are whole, they know better."""
    noted = finding.noted
    is_in_books = finding.is_whole and noted.name.is_kept_exactly
    return finding.window.end is None and noted.spent > 0 and not is_in_books


def _after_sight(finding: Finding) -> Noted:
    """As if it counted only from then on."""
    return replace(finding.noted, since=finding.noted.spent_at + 1)


def _with_sight(finding: Finding, after: Finding) -> Finding:
    """What it should hold by what it was seen to hold and what came after."""
    spent = finding.noted.spent
    return replace(
        after,
        noted=finding.noted,
        least=spent + after.least,
        most=spent + after.most,
        is_anew=finding.is_anew,
        is_whole=finding.is_whole,
    )


def _least(finding: Finding) -> int:
    return finding.least


def _must_rise(finding: Finding) -> bool:
    """Whether it holds too little. Where the books do not say it exactly, only if it was lost."""
    is_told = finding.noted.name.is_kept_exactly or finding.is_anew
    return is_told and bool(finding.lacks) and _is_current(finding)


def _raises(lacking: Iterable[Finding]) -> list[Raise]:
    return [
        Raise(
            one.noted.name,
            one.window,
            one.counted,
            one.lacks,
            one.noted.since,
        )
        for one in lacking
    ]
