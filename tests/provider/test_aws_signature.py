"""The first examples are AWS's own "Signature Version 4 test suite"; the others were made with botocore
1.44.8 (`botocore.auth.SigV4Auth`), for an address whose path holds an escaped colon."""

from datetime import UTC, datetime

import pytest

from meshgate.provider.credentials.aws_signature import AwsKeys, Scope, signed

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
STS_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIe"
    "oIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq"
    "5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC"
    "9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
KEYS = AwsKeys("AKIDEXAMPLE", SECRET)
SUITE = Scope("us-east-1", "service")
SUITE_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
BEDROCK = (
    "https://bedrock-runtime.eu-central-1.amazonaws.com/model/"
    "eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
)
JSON = (("content-type", "application/json"),)


def authorization(url, headers, body, keys=KEYS, scope=SUITE, at=SUITE_TIME):
    return dict(signed(url, headers, body, keys=keys, scope=scope, at=at))["authorization"]


@pytest.mark.parametrize(
    ("query", "headers", "body", "token", "signature"),
    [
        (
            "",
            (),
            b"",
            "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "?Param1=value1",
            (),
            b"",
            "",
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        ),
        (
            "",
            (("content-type", "application/x-www-form-urlencoded"),),
            b"Param1=value1",
            "",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "",
            (),
            b"",
            STS_TOKEN,
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
    ],
    ids=[
        "post-vanilla",
        "post-vanilla-query",
        "post-x-www-form-urlencoded",
        "post-sts-header-before",
    ],
)
def test_signatures_are_those_of_aws_test_suite(query, headers, body, token, signature):
    keys = AwsKeys("AKIDEXAMPLE", SECRET, token)

    written = authorization(f"https://example.amazonaws.com/{query}", headers, body, keys)

    assert written.endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("token", "names", "signature"),
    [
        (
            "",
            "content-type;host;x-amz-date",
            "820bb8278f40464a988efcde8faa867ce8d17ead89c486f84c544aaabb04df86",
        ),
        (
            "tok/en+==",
            "content-type;host;x-amz-date;x-amz-security-token",
            "ef0147aa82718e512cdeff4663651c01f99a877978ce9c41c3b13f6a1d63bea4",
        ),
    ],
)
def test_a_model_with_a_colon_is_signed_as_botocore_does(token, names, signature):
    written = authorization(
        BEDROCK,
        JSON,
        b'{"messages":[]}',
        AwsKeys("AKIDEXAMPLE", SECRET, token),
        Scope("eu-central-1", "bedrock"),
        datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
    )

    assert written == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250102/eu-central-1/bedrock/aws4_request,"
        f" SignedHeaders={names}, Signature={signature}"
    )


def test_headers_that_proxies_change_are_not_signed():
    plain = authorization(BEDROCK, JSON, b"{}")

    assert authorization(BEDROCK, (*JSON, ("traceparent", "x"), ("accept", "y")), b"{}") == plain


def test_keys_do_not_show_their_secrets():
    assert SECRET not in repr(AwsKeys("AKIDEXAMPLE", SECRET, "session-token"))
    assert "session-token" not in repr(AwsKeys("AKIDEXAMPLE", SECRET, "session-token"))
