import structlog
from prometheus_client import REGISTRY
from quota.worlds import per

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import LimitKind, WindowUnit
from meshgate.quota import observation
from meshgate.quota.grants import Alert, Booking, Grant, LimitReached, NotGranted

LIMIT = per(WindowUnit.DAY, 10, LimitKind.COST)


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_what_became_of_holds_is_counted():
    words = ("granted", "repeated", "refused", "released")
    before = [count("meshgate_quota_holds_total", outcome=word) for word in words]

    observation.granted(Grant(NOTHING, 0, 0.0))
    observation.granted(Grant(NOTHING, 0, 0.0, repeated=True))
    observation.granted(LimitReached("key/k", LIMIT, 0, 1, 1.0))
    observation.granted(NotGranted.RELEASED)

    after = [count("meshgate_quota_holds_total", outcome=word) for word in words]
    assert after == [number + 1 for number in before]


def test_overruns_are_counted_by_kind_and_once():
    before = count("meshgate_quota_overruns_total", kind="output_tokens")

    observation.settled(Booking.BOOKED, Amounts(output_tokens=7, input_tokens=-3))
    observation.settled(Booking.REPEATED, Amounts(output_tokens=7))

    assert count("meshgate_quota_overruns_total", kind="output_tokens") == before + 7


def test_an_alert_is_an_event_and_a_metric():
    before = count("meshgate_quota_alerts_total", limit="cost/day")

    with structlog.testing.capture_logs() as logs:
        observation.Observed().alerted(Alert("acme", "team/t", LIMIT, 11))

    assert count("meshgate_quota_alerts_total", limit="cost/day") == before + 1
    assert logs == [
        {
            "event": "a soft limit is passed",
            "log_level": "warning",
            "partition": "acme",
            "subject": "team/t",
            "limit": "cost/day",
            "amount": 10,
            "total": 11,
        }
    ]


def test_grants_whose_owners_are_gone_are_counted():
    before = count("meshgate_quota_abandoned_total")

    observation.Observed().abandoned(3)

    assert count("meshgate_quota_abandoned_total") == before + 3
