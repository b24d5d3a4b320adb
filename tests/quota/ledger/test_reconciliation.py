"""Whatever happens, counters and books agree; and where somebody has meddled with one, it is named."""

import random

import pytest
from quota.ledger.audits import History, audit_at, with_more_limits
from quota.ledger.usage import database_at


@pytest.fixture
async def database(ledger_url):
    async with database_at(ledger_url) as database:
        yield database


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_became_of_requests_the_counters_and_the_books_agree(valkey, database, seed):
    async with audit_at(valkey, database) as audit:
        history = History(audit, random.Random(seed))
        await history.go(40)
        history.callers = [with_more_limits(one) for one in history.callers]
        await history.go(60, longest_seconds=2_000)

        waiting = await audit.reconciliation.reconcile()
        await audit.drain()
        written = await audit.reconciliation.reconcile()

    assert waiting.differences == written.differences == []
    assert waiting.waiting > 0
    assert written.waiting == 0
    assert waiting.compared == written.compared > 10
