"""What clients are told of how their limits stand."""

from typing import Any

from routing.fakes import Clock
from routing.metering_values import chain, limit
from routing.quota_values import ScriptedCalls, grant

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.routing.limit_headers import limit_headers
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.part import Part
from meshgate.routing.peers.quota.settling import Settling


def part(*states: Any, spare: Amounts = NOTHING) -> Part:
    account = Account(chain(limit("requests", 1)), Clock())
    return Part(account, Settling(ScriptedCalls()), grant(spare, *states), NOTHING)  # type: ignore[arg-type]


def told(*parts: Part) -> dict[str, str]:
    return dict(limit_headers(parts))


def test_requests_and_tokens_are_told_apart() -> None:
    headers = told(part((limit("requests", 10), 7), (limit("tokens", 1000), 600)))

    assert headers == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "1m0s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "600",
        "x-ratelimit-reset-tokens": "1m0s",
    }


def test_of_several_grants_the_one_with_the_least_share_left_is_told() -> None:
    headers = told(part((limit("requests", 10), 5)), part((limit("requests", 1000), 100)))

    assert headers["x-ratelimit-limit-requests"] == "1000"
    assert headers["x-ratelimit-remaining-requests"] == "100"


def test_requests_and_tokens_may_come_from_different_grants() -> None:
    headers = told(part((limit("requests", 10), 5)), part((limit("tokens", 1000), 100)))

    assert headers["x-ratelimit-limit-requests"] == "10"
    assert headers["x-ratelimit-limit-tokens"] == "1000"


def test_what_a_lease_may_still_let_in_counts_as_left() -> None:
    spare = Amounts(3, 20, 30)

    headers = told(part((limit("requests", 10), 2), (limit("tokens", 1000), 100), spare=spare))

    assert headers["x-ratelimit-remaining-requests"] == "5"
    assert headers["x-ratelimit-remaining-tokens"] == "150"


def test_never_more_is_told_than_the_limit() -> None:
    headers = told(part((limit("requests", 10), 9), spare=Amounts(requests=5)))

    assert headers["x-ratelimit-remaining-requests"] == "10"


def test_never_less_than_nothing_is_told() -> None:
    assert told(part((limit("requests", 10), -4)))["x-ratelimit-remaining-requests"] == "0"


def test_a_limit_of_nothing_divides_nothing() -> None:
    headers = told(part((limit("requests", 0), 0)), part((limit("requests", 10), 0)))

    assert headers["x-ratelimit-remaining-requests"] == "0"


def test_without_limits_on_either_nothing_is_told() -> None:
    assert told(part()) == {}
    assert told() == {}
