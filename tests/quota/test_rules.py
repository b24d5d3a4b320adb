import pytest
from quota.worlds import key, per, places

from meshgate.limits.limit import Enforcement, Limit, LimitKind, WindowMode, WindowUnit
from meshgate.quota.rules import NO_LIMIT, calendar_of, limit_of, rules_of
from meshgate.quota.windows import identity

LIMITS = [
    places(3),
    per(WindowUnit.TOTAL, 5),
    per(WindowUnit.MINUTE, 5, LimitKind.TOKENS),
    per(WindowUnit.WEEK, 5, LimitKind.COST, time_zone="America/Argentina/Buenos_Aires"),
    per(WindowUnit.MINUTE, 5, mode=WindowMode.CALENDAR, enforcement=Enforcement.STRICT),
]


@pytest.mark.parametrize("limit", LIMITS, ids=identity)
def test_a_limit_can_be_told_from_its_counter_and_its_amount(limit):
    strict = int(limit.enforcement is Enforcement.STRICT)

    assert limit_of(identity(limit), limit.amount, strict) == limit


def test_limits_that_differ_only_in_amount_share_a_counter_and_the_smallest_refuses():
    rules = rules_of(
        key(
            "k",
            per(WindowUnit.MINUTE, 9),
            per(WindowUnit.MINUTE, 7),
            per(WindowUnit.MINUTE, 5, enforcement=Enforcement.SOFT),
        )
    )

    assert [(rule.identity, rule.hard, rule.softs) for rule in rules] == [
        ("requests/minute/rolling", 7, (5,))
    ]


def test_soft_limits_alone_refuse_nothing():
    (rule,) = rules_of(key("k", places(5, Enforcement.SOFT)))

    assert rule.hard == NO_LIMIT


def test_a_calendar_is_told_from_its_counter():
    limit = Limit.of(LimitKind.COST, 1, WindowUnit.MONTH, time_zone="Europe/Berlin")

    assert calendar_of(identity(limit)) == (WindowUnit.MONTH, "Europe/Berlin")
