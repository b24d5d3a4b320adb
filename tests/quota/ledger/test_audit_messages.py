"""What UsageService is asked of counters, and what it answers."""

import base64

import pytest
from quota.ledger.audits import Caller, audit_at
from quota.ledger.databases import migrated_sqlite
from quota.ledger.test_reconciliation import COST, add, meddle, spend
from quota.ledger.usage import database_at

from meshgate.quota.ledger import reconciliation as reconciling
from meshgate.quota.ledger.audit_messages import rebuild_counters, reconcile_usage
from meshgate.quota.ledger.counters import CounterName
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import usage_service_pb2 as pb
