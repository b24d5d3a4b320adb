"""What routing reads of a call's metadata."""

from typing import Any

import pytest

from meshgate.routing.arrival import Arrival
from meshgate.runtime.context import LocalContext
from meshgate.runtime.deadline import DEFAULT_SECONDS
from meshgate.runtime.errors import DeadlineExceededError, InvalidRequestError


def arriving(*metadata: tuple[str, Any], seconds_left: float | None = None) -> Arrival:
    context = LocalContext(metadata, seconds_left, "127.0.0.1:1")
    return Arrival.from_context(context, "Test.Call")


@pytest.mark.parametrize(
    ("metadata", "credential"),
    [
        ([("authorization", "Bearer k1")], "k1"),
        ([("authorization", "bearer k1")], "k1"),
        ([("authorization", "BEARER   k1 ")], "k1"),
        ([("x-api-key", "k2")], "k2"),
        ([("x-api-key", " k2 ")], "k2"),
        ([("authorization", "Bearer k1"), ("x-api-key", "k2")], "k1"),
        ([("authorization", "Bearer "), ("x-api-key", "k2")], "k2"),
        ([("authorization", "Basic YTpi"), ("x-api-key", "k2")], "k2"),
        ([("authorization", "Basic YTpi")], None),
        ([("authorization", "Bearer")], None),
        ([("authorization", "")], None),
        ([("authorization", "k1")], None),
        ([("x-api-key", "")], None),
        ([("x-api-key", "  ")], None),
        ([], None),
    ],
)
def test_a_credential_is_a_bearer_token_or_an_api_key(
    metadata: list[tuple[str, str]], credential: str | None
) -> None:
    assert arriving(*metadata).credential == credential


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30", 30), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120), (" 5s ", 5)],
)
def test_the_timeout_header_is_a_duration(text: str, seconds: float) -> None:
    left = arriving(("x-meshgate-timeout", text)).deadline.seconds_left()

    assert seconds - 1 < left <= seconds


def test_the_timeout_header_may_ask_for_longer_than_the_default() -> None:
    arrival = arriving(("x-meshgate-timeout", "1h"))

    assert DEFAULT_SECONDS < arrival.deadline.seconds_left(3600) <= 3600


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-1s", "soon", "1d", "1e3s", "1 s", "inf", "9" * 99, "٣s"]
)
def test_a_timeout_that_is_no_duration_is_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="x-meshgate-timeout") as raised:
        arriving(("x-meshgate-timeout", text))

    assert len(raised.value.message) < 200


def test_a_time_too_short_to_do_anything_has_passed() -> None:
    arrival = arriving(("x-meshgate-timeout", "0.000001ms"))

    with pytest.raises(DeadlineExceededError):
        arrival.deadline.seconds_left()


@pytest.mark.parametrize(("header", "call", "shorter"), [("5s", 50.0, 5), ("50s", 5.0, 5)])
def test_the_shorter_one_of_header_and_grpc_deadline_holds(
    header: str, call: float, shorter: float
) -> None:
    arrival = arriving(("x-meshgate-timeout", header), seconds_left=call)

    assert shorter - 1 < arrival.deadline.seconds_left() <= shorter


def test_who_names_no_deadline_gets_the_longest_that_a_call_may_take() -> None:
    left = arriving().deadline.seconds_left()

    assert DEFAULT_SECONDS - 1 < left <= DEFAULT_SECONDS


def test_within_shortens_the_time_and_never_lengthens_it() -> None:
    arrival = arriving(seconds_left=10.0)

    assert arrival.within(600).deadline == arrival.deadline
    assert arrival.within(5).deadline.seconds_left() <= 5
    assert arrival.within(5).method == arrival.method


def test_what_is_told_goes_along_with_calls_to_other_services() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    arrival = arriving(
        ("x-request-id", "r-1"),
        ("traceparent", traceparent),
        ("x-envoy-external-address", "192.0.2.7"),
        seconds_left=10.0,
    )

    context = arrival.call_context("config/alice", "rev-1")

    assert arrival.client_address == "192.0.2.7"
    assert (context.request_id, context.traceparent) == ("r-1", traceparent)
    assert (context.principal_id, context.config_revision) == ("config/alice", "rev-1")
    assert 9 < context.timeout.ToNanoseconds() / 1e9 <= 10


def test_values_that_are_too_long_do_not_spread() -> None:
    long = "x" * 50_000
    arrival = arriving(
        ("x-request-id", long), ("traceparent", long), ("x-envoy-external-address", long)
    )

    assert arrival.request_id == "x" * 256
    assert arrival.traceparent == ""
    assert len(arrival.client_address) == 64


def test_binary_metadata_does_not_disturb() -> None:
    arrival = arriving(("trace-bin", b"\x00\xff"), ("authorization", "Bearer k1"))

    assert arrival.credential == "k1"


def test_the_credential_is_not_shown_where_an_arrival_is_printed() -> None:
    assert "k1-secret" not in repr(arriving(("x-api-key", "k1-secret")))


def test_what_a_client_says_of_anthropics_api_is_told() -> None:
    version, beta = ("anthropic-version", "2026-10-21"), ("anthropic-beta", "a-1,b-2")

    assert arriving(version, beta, ("x-other", "no")).told_headers == (version, beta)
    assert arriving(beta).told_headers == ()  # nobody who speaks it leaves out the version
    assert arriving(version, ("anthropic-beta", "a" * 1025)).told_headers == (version,)
