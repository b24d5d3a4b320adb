"""The RPCs of UsageService that look after the ledger, over every binding."""

import pytest
from bindings import BINDINGS
from quota.ledger.served_usage import served, waiting

from meshgate.quota.ledger.findings import Fault
from meshgate.quota.ledger.kept_links import ChainHead
from meshgate.quota.ledger.rebuilding import Rebuilt
from meshgate.quota.ledger.reconciliation import Reconciled
from meshgate.quota.ledger.verification import Verified
from meshgate.quota.usage_servicer import Ledger
from meshgate.v1 import usage_service_pb2 as pb

REQUESTS = {
    "VerifyUsage": pb.VerifyUsageRequest(page_token="here", page_size=9),
    "ReconcileUsage": pb.ReconcileUsageRequest(organization_id="org_1"),
    "RebuildCounters": pb.RebuildCountersRequest(organization_id="org_1"),
    "EraseUsage": pb.EraseUsageRequest(user_id="user_1"),
}


class Audits:
    """Notes what the ledger is asked for besides reports, and answers what it was given."""

    def __init__(self):
        self.asked = []

    async def verify(self, page_token, page_size):
        self.asked.append((page_token, page_size))
        return Verified([Fault(3, 7, "wrong")], 9, 2, [ChainHead(3, 8, b"\x01\xff")], "next")

    async def erase_user(self, user_id, principal_id):
        self.asked.append((user_id, principal_id))
        return 4

    async def reconcile(self, after, organization_id):
        self.asked.append((after, organization_id))
        return Reconciled((), 5, 1, None)

    async def rebuild(self, organization_id):
        self.asked.append(organization_id)
        return Rebuilt(6, 2)


@pytest.fixture
def audits():
    return Audits()


@pytest.fixture(params=BINDINGS)
async def api(request, audits):
    ledger = Ledger(None, audits, audits, audits, audits, waiting)
    async with served(request.param, ledger) as api:
        yield api


async def test_an_auditor_is_told_what_is_wrong_in_the_ledger(api, audits):
    told = await api.call("VerifyUsage", REQUESTS["VerifyUsage"])

    assert audits.asked == [("here", 9)]
    assert (told.entry_count, told.erased_count, told.next_page_token) == (9, 2, "next")
    assert [(fault.shard, fault.sequence, fault.message) for fault in told.faults] == [
        (3, 7, "wrong")
    ]
    assert [(head.shard, head.sequence, head.chain) for head in told.heads] == [(3, 8, "01ff")]


async def test_counters_are_compared_and_made_again_for_one_organization_or_all(api, audits):
    compared = await api.call("ReconcileUsage", REQUESTS["ReconcileUsage"])
    rebuilt = await api.call("RebuildCounters", REQUESTS["RebuildCounters"])

    assert audits.asked == [(None, "org_1"), "org_1"]
    assert (compared.counter_count, compared.pending_count) == (5, 1)
    assert (rebuilt.counter_count, rebuilt.raised_count) == (6, 2)


async def test_who_erases_is_noted(api, audits):
    erased = await api.call("EraseUsage", REQUESTS["EraseUsage"])

    assert audits.asked == [("user_1", "admin")]
    assert erased.erased_count == 4


@pytest.mark.parametrize("rpc", REQUESTS)
@pytest.mark.parametrize("caller", ["boss", "viewer", "lead", "nobody"])
async def test_nobody_but_an_admin_looks_after_the_ledger(api, audits, rpc, caller):
    refused = await api.refused(rpc, REQUESTS[rpc], caller)

    assert refused.reason == "ERROR_REASON_PERMISSION_DENIED"
    assert audits.asked == []


@pytest.mark.parametrize("rpc", REQUESTS)
async def test_without_a_ledger_everything_is_refused_with_what_to_do(rpc):
    async with served("in-process", None) as api:
        refused = await api.refused(rpc, REQUESTS[rpc])

    assert "LEDGER_DATABASE_URL" in refused.message
