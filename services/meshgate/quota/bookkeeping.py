"""The ledger as the quota service has it open: who writes it, answers from it and looks after it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.settings import Settings
from meshgate.quota.usage_servicer import Ledger
from meshgate.runtime.environment import SettingError
from meshgate.runtime.errors import GatewayError

# Who compares counters reads much, and keeps nobody from writing.
_AUDIT_SECONDS = 30.0


@dataclass(frozen=True)
class Books:
    """What is done for the ledger.

    Attributes:
        tasks: As a `Service` has them.
        lacks: Likewise.
        ledger: What answers from it; None where there is no ledger.
    """

    tasks: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    lacks: Callable[[], Sequence[str]] = tuple
    ledger: Ledger | None = None


@asynccontextmanager
async def opened_books(
    settings: Settings, nodes: RedisNodes, *, recovers: bool
) -> AsyncIterator[Books]:
    """For as long as the block lasts; `recovers` where lost counters may be made again right now.

    Raises:
        SettingError: The ledger's URL is none.
    """
    if settings.ledger_url is None:
        yield Books()
        return
    # Here, so that a service without a ledger loads nothing for one.
    from meshgate.database.database import DatabaseUnusableError  # noqa: PLC0415

    try:
        async with _opened(settings, settings.ledger_url, nodes, recovers=recovers) as books:
            yield books
    except DatabaseUnusableError as error:
        raise SettingError(str(error)) from None


@asynccontextmanager
async def _opened(
    settings: Settings, url: str, nodes: RedisNodes, *, recovers: bool
) -> AsyncIterator[Books]:
    from meshgate.quota.ledger.auditing import opened_audit  # noqa: PLC0415
    from meshgate.quota.ledger.noting import keep_noting  # noqa: PLC0415
    from meshgate.quota.ledger.opening import opened_ledger, opened_reports  # noqa: PLC0415
    from meshgate.quota.ledger.upkeep import opened_upkeep  # noqa: PLC0415

    seconds = settings.ledger_seconds
    async with (
        opened_ledger(url, nodes, seconds) as keeper,
        opened_reports(url, settings.report_seconds) as opened,
        opened_upkeep(url, seconds, settings.ledger_retention_seconds) as upkeep,
        opened_audit(url, nodes, max(seconds, _AUDIT_SECONDS)) as audit,
    ):
        recovery = audit.recovery
        if recovers:
            # Before anything is granted; what fails now is done in the background.
            with contextlib.suppress(GatewayError, TimeoutError):
                async with asyncio.timeout(seconds):
                    await recovery.recover()
        tasks = {
            "keep the ledger": keeper.keep,
            "sum usage up by the hour": opened.sum_up,
            "note counters": lambda: keep_noting(audit.noted),
            "make lost counters again": lambda: recovery.keep_recovering(settings.sweep_seconds),
        }
        if upkeep.retention is not None:
            tasks["drop what is old from the ledger"] = upkeep.retention.keep
        ledger = Ledger(
            opened.reports,
            upkeep.verification,
            upkeep.erasing,
            audit.reconciliation,
            audit.rebuilding,
            keeper.backlog,
        )
        yield Books(tasks, lambda: (*keeper.lacks(), *recovery.lacks()), ledger)
