import pytest

from meshgate.cli.limit_options import as_json, from_json, parsed, written
from meshgate.limits.limit import Enforcement, Limit, LimitKind, WindowMode, WindowUnit

LIMITS = {
    "requests/minute=600": Limit.of(LimitKind.REQUESTS, 600, WindowUnit.MINUTE),
    "input_tokens/hour=50000,enforce=strict": Limit.of(
        LimitKind.INPUT_TOKENS, 50_000, WindowUnit.HOUR, enforcement=Enforcement.STRICT
    ),
    "concurrency=0": Limit.of(LimitKind.CONCURRENCY, 0),
    "cost/day=0.25": Limit.of(LimitKind.COST, 250_000_000, WindowUnit.DAY),
    "cost/total=9000000,enforce=soft": Limit.of(
        LimitKind.COST, 9_000_000 * 10**9, WindowUnit.TOTAL, enforcement=Enforcement.SOFT
    ),
    "tokens/month=5,time_zone=Europe/Berlin": Limit.of(
        LimitKind.TOKENS, 5, WindowUnit.MONTH, time_zone="Europe/Berlin"
    ),
    "tokens/month=5,mode=rolling": Limit.of(
        LimitKind.TOKENS, 5, WindowUnit.MONTH, WindowMode.ROLLING
    ),
    "requests/hour=5,mode=calendar,time_zone=Asia/Tokyo": Limit.of(
        LimitKind.REQUESTS, 5, WindowUnit.HOUR, WindowMode.CALENDAR, "Asia/Tokyo"
    ),
}


@pytest.mark.parametrize(("text", "limit"), LIMITS.items(), ids=LIMITS)
def test_a_limit_is_read_as_it_is_written(text, limit):
    assert parsed(text) == limit
    assert written(limit) == text


def test_limits_go_through_the_api_unchanged():
    assert from_json(as_json(LIMITS.values())) == list(LIMITS.values())


def test_an_amount_of_nothing_is_told_too():
    [record] = as_json([LIMITS["concurrency=0"]])

    assert record["amount"] == "0"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a limit is written"),
        ("requests/minute", "a limit is written"),
        ("requests=5", "needs a window"),
        ("apples/day=5", "'apples' is not known"),
        ("requests/fortnight=5", "'fortnight' is not known"),
        ("requests/day=-5", "whole number"),
        ("requests/day=1.5", "whole number"),
        ("requests/day=\u0665", "whole number"),
        ("requests/day=" + "9" * 20, "cannot be counted"),
        ("cost/day=nan", "amount in dollars"),
        ("cost/day=1e999999", "amount in dollars"),
        ("cost/day=0.0000000001", "amount in dollars"),
        ("cost/day=-1", "less than nothing"),
        ("cost/day=9000001", "9,000,000 USD"),
        ("requests/day=5,enforce=maybe", "'maybe' is not known"),
        ("requests/day=5,zone=UTC", "'zone' is not known"),
        ("requests/day=5,time_zone=Mars/Base", "no time zone"),
        ("concurrency/day=5", "has no window"),
    ],
)
def test_what_is_no_limit_is_told_in_a_sentence(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parsed(text)
