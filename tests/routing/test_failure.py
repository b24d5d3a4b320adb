"""What callers are told of an upstream's failure."""

import grpc
import pytest
from google.rpc import error_details_pb2

from meshgate.routing.failure import Failure
from meshgate.runtime.errors import (
    GatewayError,
    ServiceUnavailableError,
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)
from meshgate.runtime.status import status_of
from meshgate.v1 import provider_service_pb2 as pb

KINDS = [
    ("rate_limited", UpstreamRateLimitedError, 429, "RESOURCE_EXHAUSTED"),
    ("overloaded", UpstreamFailedError, 503, "UNAVAILABLE"),
    ("timeout", UpstreamTimeoutError, 504, "DEADLINE_EXCEEDED"),
    ("connection", UpstreamFailedError, 502, "UNAVAILABLE"),
    ("server_error", UpstreamFailedError, 502, "UNAVAILABLE"),
    ("context_window", UpstreamRefusedError, 400, "INVALID_ARGUMENT"),
    ("content_policy", UpstreamRefusedError, 400, "INVALID_ARGUMENT"),
    ("invalid_request", UpstreamRefusedError, 400, "INVALID_ARGUMENT"),
    ("authentication", UpstreamFailedError, 502, "UNAVAILABLE"),
    ("not_found", UpstreamFailedError, 502, "UNAVAILABLE"),
    ("cancelled", UpstreamFailedError, 502, "UNAVAILABLE"),
    ("unspecified", UpstreamFailedError, 502, "UNAVAILABLE"),
]


@pytest.mark.parametrize(("kind", "error_class", "http_status", "code"), KINDS)
def test_each_kind_has_its_error_and_statuses(
    kind: str, error_class: type[GatewayError], http_status: int, code: str
) -> None:
    error = Failure(kind, "openai", message="what it said").as_error("m", 2)

    assert type(error) is error_class
    assert error.http_status == http_status
    status = status_of(error)
    assert status.code == grpc.StatusCode[code].value[0]
    assert status.message == "what it said"
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert info.reason == error_class.reason
    assert dict(info.metadata) == {
        "model": "m",
        "provider": "openai",
        "kind": kind,
        "attempts": "2",
    }


def test_every_kind_of_the_contract_is_told_of() -> None:
    names = {name for name, _ in pb.FailureKind.items()}

    assert {name.removeprefix("FAILURE_KIND_").lower() for name in names} == {
        kind for kind, *_ in KINDS
    }


@pytest.mark.parametrize(
    ("upstream", "told"), [(400, 400), (413, 413), (422, 422), (200, 400), (500, 400), (0, 400)]
)
def test_a_refusal_keeps_the_status_that_blames_the_client(upstream: int, told: int) -> None:
    error = Failure("invalid_request", "openai", upstream_status=upstream).as_error("m", 1)

    assert error.http_status == told


def test_a_refusal_passes_the_upstreams_own_code_and_field_on() -> None:
    failure = Failure("invalid_request", "openai", code="bad_tool", field="tools[0]", message="no")

    error = failure.as_error("m", 1)

    assert isinstance(error, UpstreamRefusedError)
    assert (error.upstream_code, error.field) == ("bad_tool", "tools[0]")
    violations = error_details_pb2.BadRequest()
    status_of(error).details[1].Unpack(violations)
    assert violations.field_violations[0].field == "tools[0]"


@pytest.mark.parametrize("kind", ["rate_limited", "overloaded"])
@pytest.mark.parametrize(("asked", "told"), [(7.5, 7.5), (0.0, 1), (None, 1)])
def test_every_429_and_503_says_when_to_come_back(
    kind: str, asked: float | None, told: float
) -> None:
    error = Failure(kind, "openai", retry_after_seconds=asked).as_error("m", 1)

    assert error.retry_after_seconds == told


def test_what_failed_in_the_mesh_is_told_as_it_is() -> None:
    cause = ServiceUnavailableError("the provider service does not answer", service="provider")

    assert Failure("connection", "openai", error=cause).as_error("m", 1) is cause


def test_attempts_are_not_told_where_nobody_counted_them() -> None:
    assert "attempts" not in Failure("connection", "openai").as_error("m").values
