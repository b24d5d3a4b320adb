"""What UsageService is asked of counters, and what it answers."""

import asyncio
import base64

import pytest
from quota.ledger.audits import audit_at
from quota.ledger.databases import migrated_sqlite
from quota.ledger.meddling import COST, REQUESTS, add, meddle, spend
from quota.ledger.usage import database_at

from meshgate.limits.limit import WindowUnit
from meshgate.quota.audit_messages import rebuild_counters, reconcile_usage
from meshgate.quota.ledger.reconciliation import Reconciliation
from meshgate.quota.windows import calendar_bounds
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import usage_service_pb2 as pb


@pytest.fixture
async def audit(valkey, quick_disk, tmp_path):
    url = await asyncio.to_thread(migrated_sqlite, tmp_path / "ledger.sqlite")
    async with database_at(url) as database, audit_at(valkey, database) as audit:
        yield audit


async def test_a_difference_says_which_counter_it_is_and_what_is_wrong(audit, valkey):
    await spend(audit, "a")
    meddle(valkey, COST, add(COST, -1))
    meddle(valkey, REQUESTS, add(REQUESTS, 2))

    answer = await reconcile_usage(audit.reconciliation, pb.ReconcileUsageRequest())

    requests, cost = answer.differences
    midnight = calendar_bounds(WindowUnit.DAY, "UTC", audit.world.clock()).start
    assert (requests.partition, requests.subject, requests.limit) == (
        "org-1",
        "key/k1",
        "requests/day",
    )
    assert requests.window_start_time.ToMilliseconds() == midnight
    assert (requests.counted, requests.booked) == (3, 1)
    assert "2 more than the books" in requests.message
    assert (cost.subject, cost.limit) == ("organization/org-1", "cost/total")
    assert not cost.HasField("window_start_time")
    assert (cost.counted, cost.booked) == (29, 30)
    assert answer.counter_count > 5
    assert answer.pending_count == 1
    assert answer.next_page_token == ""


async def test_pages_lead_from_one_to_the_next(audit, valkey):
    await spend(audit, "a", who=1)
    await spend(audit, "b", who=2)
    meddle(valkey, COST, add(COST, -1))
    paged = Reconciliation(audit.noted, audit.comparison, audit.books, page_size=3)
    request, counters, found = pb.ReconcileUsageRequest(organization_id="org-1"), 0, []
    while True:
        answer = await reconcile_usage(paged, request)
        counters += answer.counter_count
        found += answer.differences
        request.page_token = answer.next_page_token
        if not request.page_token:
            break

    whole = await reconcile_usage(
        audit.reconciliation, pb.ReconcileUsageRequest(organization_id="org-1")
    )

    assert found == list(whole.differences)
    assert counters == whole.counter_count > 3


@pytest.mark.parametrize(
    "token",
    ["!", "e30=", base64.urlsafe_b64encode(b'["a","b"]').decode(), "WyJhXHUwMDAwIiwiYiIsImMiXQ=="],
)
async def test_a_page_token_that_was_made_up_is_refused(audit, token):
    with pytest.raises(InvalidRequestError) as caught:
        await reconcile_usage(audit.reconciliation, pb.ReconcileUsageRequest(page_token=token))

    assert caught.value.field == "page_token"


async def test_what_was_made_again_is_told(audit, valkey):
    await spend(audit, "a")
    meddle(valkey, COST, add(COST, -1))

    first = await rebuild_counters(audit.rebuilding, pb.RebuildCountersRequest())
    second = await rebuild_counters(audit.rebuilding, pb.RebuildCountersRequest())

    assert (first.raised_count, second.raised_count) == (1, 0)
    assert first.counter_count == second.counter_count > 5
