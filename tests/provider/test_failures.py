import pytest

from meshgate.dialects.answers import (
    CutStreamError,
    MalformedAnswerError,
    UpstreamErrorDetail,
    UpstreamErrorEvent,
)
from meshgate.dialects.neutral import Usage
from meshgate.provider import failures
from meshgate.provider.failures import FailureKind
from meshgate.provider.phases import Phase, PhaseTimeoutError
from meshgate.provider.upstream import (
    AnswerTooLargeError,
    BrokenConnectionError,
    ConnectFailedError,
)
from meshgate.v1 import provider_service_pb2 as pb

SECRETIVE = "org-1234 at https://10.0.0.7/ with sk-secret"


def detail(message="what was said", **words):
    return UpstreamErrorDetail(message=message, **words)


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, {}, "invalid_request"),
        (400, {"code": "context_length_exceeded"}, "context_window"),
        (413, {"code": "context_length_exceeded"}, "context_window"),
        (400, {"message": "This model's maximum context length is 4096 tokens."}, "context_window"),
        (400, {"type": "exceed_context_size_error"}, "context_window"),
        (400, {"code": "content_policy_violation"}, "content_policy"),
        (400, {"code": "content_filter"}, "content_policy"),
        (400, {"code": "model_not_found"}, "not_found"),
        (400, {"code": "invalid_api_key"}, "authentication"),
        (401, {}, "authentication"),
        (402, {}, "rate_limited"),
        (403, {}, "authentication"),
        (404, {}, "not_found"),
        (405, {}, "invalid_request"),
        (408, {}, "timeout"),
        (413, {}, "invalid_request"),
        (422, {}, "invalid_request"),
        (429, {}, "rate_limited"),
        (429, {"code": "insufficient_quota"}, "rate_limited"),
        (500, {}, "server_error"),
        (500, {"code": "context_length_exceeded"}, "server_error"),
        (502, {}, "server_error"),
        (503, {}, "overloaded"),
        (504, {}, "timeout"),
        (529, {}, "overloaded"),
        (301, {}, "server_error"),
        (307, {}, "server_error"),
        (599, {}, "server_error"),
    ],
)
def test_statuses_and_words_decide_the_kind(status, words, kind):
    failure = failures.of_answer(status, detail(**words), 3.0)

    assert failure.kind.value == kind
    assert failure.upstream_status == status
    assert failure.retry_after_seconds == 3.0


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404, 408, 429, 500, 503, 504])
def test_what_is_not_about_the_request_is_told_in_our_words(status):
    failure = failures.of_answer(status, detail(SECRETIVE, param="key"), None)

    assert failure.message
    assert not set(failure.message.split()) & set(SECRETIVE.split()) - {"with", "at"}
    assert failure.field == ""


@pytest.mark.parametrize("word", ["IncompleteSignatureException", "ExpiredTokenException"])
def test_what_aws_says_of_a_signature_is_told_in_our_words_whatever_the_status(word):
    failure = failures.of_answer(400, detail(SECRETIVE, type=word), None)

    assert failure.kind.value == "authentication"
    assert failure.message == "the upstream refuses the gateway's credential"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/m does not do tools",
            "arn:aws:bedrock:eu-west-1:***:inference-profile/m does not do tools",
        ),
        (
            "`projects/our-own-4711/locations/europe-west4/models/m` takes no sound",
            "`projects/***/locations/europe-west4/models/m` takes no sound",
        ),
        ("temperature of 3: too high for projects", "temperature of 3: too high for projects"),
    ],
)
def test_accounts_of_the_gateway_are_not_told_with_the_upstreams_words(said, told):
    failure = failures.of_answer(400, detail(said), None)

    assert failure.message == told


def test_what_is_about_the_request_is_told_in_the_upstreams_words():
    failure = failures.of_answer(
        422, detail("temperature is too high", code="too_high", param="temperature"), None
    )

    assert failure.message == "temperature is too high"
    assert failure.code == "too_high"
    assert failure.field == "temperature"


@pytest.mark.parametrize("words", [{"code": "insufficient_quota"}, {"type": "insufficient_quota"}])
def test_an_account_out_of_money_is_told_from_a_rate_limit(words):
    out_of_money = failures.of_answer(429, detail(**words), None)
    too_fast = failures.of_answer(429, detail(code="rate_limit_exceeded"), None)

    assert "quota" in out_of_money.message
    assert "rate limit" in too_fast.message


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ({"code": "429"}, "rate_limited"),
        ({"code": "rate_limit_exceeded"}, "rate_limited"),
        ({"code": "503"}, "overloaded"),
        ({"type": "overloaded_error"}, "overloaded"),
        ({"type": "server_error"}, "server_error"),
        ({"code": "context_length_exceeded", "type": "invalid_request_error"}, "context_window"),
        ({"code": "400", "type": "content_filter"}, "content_policy"),
        ({"code": "400"}, "invalid_request"),
        ({"type": "invalid_request_error"}, "invalid_request"),
        ({"code": "something_new"}, "server_error"),
        ({}, "server_error"),
    ],
)
def test_an_error_in_a_stream_is_told_by_its_words(words, kind):
    usage = Usage(input_tokens=3)

    failure = failures.of_event(UpstreamErrorEvent(message="oh", **words), usage)

    assert failure.kind.value == kind
    assert failure.usage == usage


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", "server_error"),
        (b"", "server_error"),
        (b'{"choices":[', "server_error"),
        (b'{"no":"answer"}', "server_error"),
        (b'{"error":null}', "server_error"),
        (b'{"error":{"message":"oh"}}', "server_error"),
        (b'{"error":{"message":"slow down","code":429}}', "rate_limited"),
        (b"[" * 100_000, "server_error"),
    ],
)
def test_a_good_status_with_something_else_is_a_failure(body, kind):
    assert failures.of_good_status(body).kind.value == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectFailedError(), "connection"),
        (BrokenConnectionError(), "connection"),
        (CutStreamError(), "connection"),
        (AnswerTooLargeError(), "server_error"),
        (MalformedAnswerError(), "server_error"),
        *[(PhaseTimeoutError(phase), "timeout") for phase in Phase],
    ],
)
def test_errors_of_the_way_have_kinds_too(error, kind):
    failure = failures.of_error(error)

    assert isinstance(error, failures.UPSTREAM_ERRORS)
    assert failure.kind.value == kind
    assert failure.message


def test_the_kinds_are_those_of_the_contract():
    ours = {f"FAILURE_KIND_{kind.name}" for kind in FailureKind}

    assert set(pb.FailureKind.keys()) - ours == {
        "FAILURE_KIND_UNSPECIFIED",
        "FAILURE_KIND_CANCELLED",
    }
