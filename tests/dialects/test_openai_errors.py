import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects.answers import UpstreamErrorDetail
from meshgate.dialects.openai_chat import grammar
from meshgate.dialects.openai_chat.errors import read_error, write_error, write_error_event
from meshgate.runtime.errors import (
    CredentialInvalidError,
    CredentialMissingError,
    GatewayError,
    InvalidRequestError,
    ModelNotAllowedError,
    ModelNotFoundError,
    NotFoundError,
    RequestTooLargeError,
    ServiceUnavailableError,
    UnsupportedError,
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (InvalidRequestError("x"), "invalid_request_error", None),
        (RequestTooLargeError("x"), "invalid_request_error", None),
        (UnsupportedError("x"), "invalid_request_error", "unsupported_parameter"),
        (CredentialMissingError("x"), "invalid_request_error", "invalid_api_key"),
        (CredentialInvalidError("x"), "invalid_request_error", "invalid_api_key"),
        (ModelNotAllowedError("x"), "invalid_request_error", "model_not_allowed"),
        (ModelNotFoundError("x"), "invalid_request_error", "model_not_found"),
        (NotFoundError("x"), "invalid_request_error", "unknown_url"),
        (UpstreamRateLimitedError("x"), "rate_limit_error", "rate_limit_exceeded"),
        (UpstreamFailedError("x"), "server_error", None),
        (UpstreamTimeoutError("x"), "server_error", "timeout"),
        (ServiceUnavailableError("x"), "server_error", "service_unavailable"),
        (GatewayError("x"), "server_error", None),
    ],
)
def test_errors_carry_openais_type_and_code(error, kind, code):
    written = json.loads(write_error(error))

    assert written == {"error": {"message": "x", "type": kind, "param": None, "code": code}}


def test_an_upstreams_refusal_keeps_its_own_code_and_param():
    error = UpstreamRefusedError(
        "too long", upstream_code="context_length_exceeded", field="messages"
    )

    written = json.loads(write_error(error))["error"]

    assert (written["code"], written["param"]) == ("context_length_exceeded", "messages")


@given(st.text(), st.text())
@settings(deadline=None)
def test_errors_are_ascii_and_bounded(message, field):
    error = InvalidRequestError(message * 2000, field=field * 2000)

    written = write_error(error)

    assert written.isascii()
    assert b"\n" not in written
    assert len(written) < 4096 + 256 * 12 + 200
    assert (message * 2000).startswith(json.loads(written)["error"]["message"])


def test_an_error_event_is_a_legal_end_of_a_stream():
    event = write_error_event(UpstreamFailedError("the upstream broke"))

    grammar.check(event)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"error":{"message":"m","type":"t","param":"p","code":"c"}}',
            UpstreamErrorDetail(message="m", type="t", param="p", code="c"),
        ),
        (
            b'{"error":{"message":"m","code":400,"param":null}}',
            UpstreamErrorDetail(message="m", code="400"),
        ),
        (b'{"error":"model not found"}', UpstreamErrorDetail(message="model not found")),
        (
            b'{"object":"error","message":"m","type":"BadRequestError","code":400}',
            UpstreamErrorDetail(message="m", type="BadRequestError", code="400"),
        ),
        (b'{"detail":"Not Found"}', UpstreamErrorDetail(message="Not Found")),
        (  # Mistral's, as in https://github.com/avante-corp/avante.nvim/issues/2347
            (
                b'{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":'
                b'["body","messages",0,"name"],"msg":"Extra inputs are not permitted"}]},'
                b'"type":"invalid_request_error","param":null,"code":null}'
            ),
            UpstreamErrorDetail(
                message="Extra inputs are not permitted",
                type="invalid_request_error",
                param="messages.0.name",
            ),
        ),
        (
            b'{"detail":[{"loc":["body"],"msg":"field required"}]}',
            UpstreamErrorDetail(message="field required"),
        ),
        (b'[{"error":{"message":"m","code":429}}]', UpstreamErrorDetail(message="m", code="429")),
    ],
)
def test_the_shapes_that_upstreams_give_their_errors_are_read(body, expected):
    assert read_error(400, body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>nginx at 10.0.0.7</html>",
        b"upstream 10.0.0.7 refused",
        b"{}",
        b"[]",
        b"7",
        b'{"error":null}',
        b'{"error":[]}',
        b'{"error":{"message":{}}}',
        b"[" * 100_000,
        b'"' + b"x" * 2_000_000 + b'"',
    ],
)
def test_a_body_that_says_nothing_is_replaced_by_the_status(body):
    assert read_error(502, body).message == "the upstream answered with status 502"


@given(st.binary())
@settings(deadline=None)
def test_reading_an_error_never_fails(body):
    assert read_error(500, body).message


def test_what_an_upstream_says_is_bounded():
    body = json.dumps({"error": dict.fromkeys(("message", "type", "code", "param"), "x" * 9999)})

    detail = read_error(400, body.encode())

    assert len(detail.message) == 4096
    assert len(detail.type + detail.code + detail.param) == 3 * 256
