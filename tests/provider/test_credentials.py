"""Credentials that expire: how they are kept, and who gives them out."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from upstream.cloud import FakeCloud, Reply

from meshgate.provider.credentials import token_service
from meshgate.provider.credentials.aws import SignedRequests, StandingKeys
from meshgate.provider.credentials.aws_signature import AwsKeys, Scope
from meshgate.provider.credentials.bearer import BearerTokens, entra_tokens
from meshgate.provider.credentials.expiring import Expiring, Lasting
from meshgate.provider.credentials.fetched_keys import FetchedKeys
from meshgate.provider.credentials.machine_account import machine_token
from meshgate.provider.credentials.machine_keys import ContainerKeys, InstanceKeys
from meshgate.provider.credentials.service_account import (
    SCOPE,
    ServiceAccount,
    ServiceAccountTokens,
)
from meshgate.provider.credentials.web_identity import WebIdentity, WebIdentityKeys
from meshgate.provider.failures import AttemptFailedError, FailureKind
from meshgate.provider.http1_client import Http1Client
from meshgate.provider.upstream import ClientOptions

SECRET = "very-secret-0123456789"
NOW = 1_750_000_000.0


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


class Source:
    """Gives out values by number, lasting an hour, when it is let; or fails."""

    def __init__(self):
        self.fetches = 0
        self.failing = False
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self):
        self.fetches += 1
        number = self.fetches
        await self.open.wait()
        if self.failing:
            raise token_service.not_to_be_had(FailureKind.OVERLOADED)
        return Lasting(f"value-{number}", 3600.0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def source():
    return Source()


@pytest.fixture
async def expiring(source, clock):
    expiring = Expiring(source.fetch, clock)
    yield expiring
    await expiring.close()


@pytest.fixture
async def cloud():
    async with FakeCloud() as cloud:
        yield cloud


@pytest.fixture
async def client():
    client = Http1Client(ClientOptions())
    yield client
    await client.close()


async def settled():
    """Lets what was begun go on as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def failure_of(wanted):
    with pytest.raises(AttemptFailedError) as failed:
        await wanted
    return failed.value.failure


async def test_a_value_is_fetched_once_and_kept(expiring, source, clock):
    first = await expiring.get()
    clock.seconds += 3000

    assert (first, await expiring.get()) == ("value-1", "value-1")
    assert source.fetches == 1


async def test_however_many_wait_there_is_one_fetch(expiring, source):
    source.open.clear()
    waiting = [asyncio.create_task(expiring.get()) for _ in range(20)]
    await settled()
    source.open.set()

    assert {await each for each in waiting} == {"value-1"}
    assert source.fetches == 1


async def test_who_gives_up_waiting_does_not_end_the_fetch_for_others(expiring, source):
    source.open.clear()
    impatient, patient = (asyncio.create_task(expiring.get()) for _ in range(2))
    await settled()
    impatient.cancel()
    await settled()
    source.open.set()

    assert await patient == "value-1"
    assert source.fetches == 1


async def test_a_value_near_its_end_is_renewed_beside_the_requests(expiring, source, clock):
    await expiring.get()
    clock.seconds += 3400
    source.open.clear()

    during = [await expiring.get(), await expiring.get()]
    source.open.set()
    await settled()

    assert during == ["value-1", "value-1"]
    assert await expiring.get() == "value-2"
    assert source.fetches == 2


async def test_a_renewal_that_fails_changes_nothing_while_the_value_holds(expiring, source, clock):
    await expiring.get()
    clock.seconds += 3400
    source.failing = True

    during = []
    for _ in range(5):
        during.append(await expiring.get())
        await settled()

    assert during == ["value-1"] * 5
    assert source.fetches == 2, "the next one comes after a pause"


async def test_a_renewal_is_tried_again_after_a_pause(expiring, source, clock):
    await expiring.get()
    clock.seconds += 3400
    source.failing = True
    await expiring.get()
    await settled()
    source.failing = False
    clock.seconds += 11

    await expiring.get()
    await settled()

    assert await expiring.get() == "value-3"


async def test_a_value_that_has_ended_is_not_given_out(expiring, source, clock):
    await expiring.get()
    clock.seconds += 3601
    source.failing = True

    assert (await failure_of(expiring.get())).kind is FailureKind.OVERLOADED


async def test_a_value_that_ends_within_the_pause_is_not_given_out(expiring, source, clock):
    await expiring.get()
    clock.seconds += 3595
    source.failing = True
    await expiring.get()
    await settled()
    clock.seconds += 6

    assert (await failure_of(expiring.get())).kind is FailureKind.OVERLOADED


async def test_failures_are_not_fetched_again_at_once(expiring, source, clock):
    source.failing = True

    for _ in range(5):
        await failure_of(expiring.get())
    assert source.fetches == 1

    source.failing = False
    clock.seconds += 2
    assert await expiring.get() == "value-2"


async def test_closing_ends_a_fetch(source, clock):
    expiring = Expiring(source.fetch, clock)
    source.open.clear()
    waiting = asyncio.create_task(expiring.get())
    await settled()

    await expiring.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


def token(**members):
    return Reply(
        body={"token_type": "Bearer", "access_token": "at-1", "expires_in": 3599} | members
    )


async def test_entra_gives_tokens_for_an_applications_secret(cloud, client):
    cloud.reply("/tenant-1/oauth2/v2.0/token", token())
    tokens = entra_tokens(client, f"{cloud.origin}/tenant-1", "app-1", SECRET, "scope-1")

    headers = await tokens.headers("http://x", (("a", "b"),), b"")
    await tokens.close()

    assert headers == (("a", "b"), ("authorization", "Bearer at-1"))
    [request] = cloud.requests
    assert request.header("content-type") == "application/x-www-form-urlencoded"
    assert parse_qs(request.raw_body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["app-1"],
        "client_secret": [SECRET],
        "scope": ["scope-1"],
    }


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(400, {"error": "invalid_client", "error_description": SECRET}), "authentication"),
        (Reply(401, {}), "authentication"),
        (Reply(429, {}), "overloaded"),
        (Reply(503, {}), "overloaded"),
        (Reply(200, {"access_token": ""}), "server_error"),
        (Reply(200, {"access_token": "a\r\nb"}), "server_error"),
        (Reply(200, {"access_token": "a", "expires_in": "soon"}), "server_error"),
        (Reply(200, b"<html>"), "server_error"),
        (Reply(200, b"x" * 100_000), "connection"),
    ],
)
async def test_what_is_no_token_fails_without_what_was_said(cloud, client, reply, kind):
    cloud.reply("/token", reply)

    failure = await failure_of(token_service.fetch_token(client, f"{cloud.origin}/token", {}))

    assert failure.kind.value == kind
    assert SECRET not in failure.message


async def test_a_service_that_is_not_there_is_a_failed_connection(client):
    wanted = token_service.fetch_token(client, "http://127.0.0.1:1/token", {})

    assert (await failure_of(wanted)).kind is FailureKind.CONNECTION


async def test_lives_are_read_as_numbers_and_as_text(cloud, client):
    cloud.reply("/token", token(expires_in="120"))

    assert (await token_service.fetch_token(client, f"{cloud.origin}/token", {})).seconds == 120


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_file(key, **members):
    whole = {
        "type": "service_account",
        "client_email": "gw@p.iam.gserviceaccount.com",
        "private_key_id": "kid-1",
        "private_key": pem(key),
    }
    return json.dumps(whole | members)


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_a_service_accounts_statement_is_signed_and_exchanged(cloud, client, rsa_key):
    token_uri = f"{cloud.origin}/token"
    cloud.reply("/token", token())
    account = ServiceAccount.read(key_file(rsa_key, token_uri=token_uri))
    tokens = BearerTokens(
        client, Expiring(ServiceAccountTokens(client, account, now=lambda: NOW).fetch)
    )

    headers = await tokens.headers("http://x", (), b"")
    await tokens.close()

    assert headers == (("authorization", "Bearer at-1"),)
    form = parse_qs(cloud.requests[0].raw_body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    header, claims, signature = form["assertion"][0].split(".")
    assert json.loads(decoded(header)) == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    assert json.loads(decoded(claims)) == {
        "iss": "gw@p.iam.gserviceaccount.com",
        "scope": SCOPE,
        "aud": token_uri,
        "iat": int(NOW),
        "exp": int(NOW) + 3600,
    }
    signed = f"{header}.{claims}".encode()
    rsa_key.public_key().verify(decoded(signature), signed, padding.PKCS1v15(), SHA256())


@pytest.mark.parametrize(
    "broken", ["", "{}", '{"client_email":"a","private_key":"' + SECRET + '"}']
)
def test_a_broken_service_account_is_refused_without_showing_it(broken):
    with pytest.raises(ValueError, match="service account") as refused:
        ServiceAccount.read(broken)

    assert SECRET not in str(refused.value)


def test_a_service_account_with_another_kind_of_key_is_refused():
    with pytest.raises(ValueError, match="RSA"):
        ServiceAccount.read(key_file(ec.generate_private_key(ec.SECP256R1())))


def test_a_service_account_does_not_show_its_key(rsa_key):
    assert "PRIVATE" not in repr(ServiceAccount.read(key_file(rsa_key)))
    assert "at-1" not in repr(Lasting("at-1", 1.0))


async def test_a_machine_gives_tokens_for_its_account(cloud):
    cloud.reply("/instance/service-accounts/default/token", token())

    fetched = await machine_token(cloud.origin)

    assert fetched == Lasting("at-1", 3599.0)
    assert cloud.requests[0].header("metadata-flavor") == "Google"
    assert cloud.requests[0].method == "GET"


async def test_a_machine_without_an_account_has_no_token(cloud):
    assert (await failure_of(machine_token(cloud.origin))).kind is FailureKind.AUTHENTICATION
    assert (await failure_of(machine_token("http://127.0.0.1:1"))).kind is FailureKind.CONNECTION


KEYS_XML = b"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Credentials>
      <SessionToken>to/ken+==</SessionToken>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG</SecretAccessKey>
      <Expiration>2025-06-15T16:06:40Z</Expiration>
      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


@pytest.fixture
def identity(cloud, tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text("platform-token\n")
    return WebIdentity(f"{cloud.origin}/sts", "arn:aws:iam::123456789012:role/gw", token_file)


async def test_a_role_is_taken_for_the_platforms_token(cloud, client, identity):
    cloud.reply("/sts", Reply(200, KEYS_XML, media_type="text/xml"))

    fetched = await WebIdentityKeys(client, identity, now=lambda: NOW).fetch()

    keys = AwsKeys("ASgeIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG", "to/ken+==")
    assert fetched == Lasting(keys, 3600.0)
    form = parse_qs(cloud.requests[0].raw_body.decode())
    assert form["WebIdentityToken"] == ["platform-token"]
    assert form["RoleArn"] == ["arn:aws:iam::123456789012:role/gw"]


async def test_a_roles_keys_sign_requests_until_they_are_closed(cloud, client, identity):
    cloud.reply("/sts", Reply(200, KEYS_XML, media_type="text/xml"))
    keys = FetchedKeys(Expiring(WebIdentityKeys(client, identity, lambda: NOW).fetch), client)
    requests = SignedRequests(keys, Scope("eu-west-1", "bedrock"))

    headers = dict(await requests.headers("https://x.example/", (), b""))
    await requests.close()

    assert headers["x-amz-security-token"] == "to/ken+=="
    assert headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=ASgeIAIOSFODNN7EXAMPLE/"
    )


@pytest.mark.parametrize(
    "reply", [Reply(200, b"<a/>"), Reply(200, KEYS_XML.replace(b"2025-06-15T", b"soon"))]
)
async def test_an_answer_without_keys_is_a_failure(cloud, client, identity, reply):
    cloud.reply("/sts", reply)

    wanted = WebIdentityKeys(client, identity, lambda: NOW).fetch()

    assert (await failure_of(wanted)).kind is FailureKind.SERVER_ERROR


async def test_a_role_without_the_platforms_token_is_not_taken(cloud, client, identity):
    identity.token_file.unlink()

    wanted = WebIdentityKeys(client, identity, lambda: NOW).fetch()

    assert (await failure_of(wanted)).kind is FailureKind.AUTHENTICATION
    assert cloud.requests == []


KEYS_JSON = {
    "Code": "Success",
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG",
    "Token": "to/ken+==",
    "Expiration": "2025-06-15T16:06:40Z",
}
FETCHED = Lasting(AwsKeys("ASIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG", "to/ken+=="), 3600.0)


async def test_a_container_has_keys_for_what_its_platform_gave_it(cloud, tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text("platform-token\n")
    cloud.reply("/v1/credentials", Reply(body=KEYS_JSON))

    keys = ContainerKeys(f"{cloud.origin}/v1/credentials", token_file, now=lambda: NOW)

    assert await keys.fetch() == FETCHED
    assert cloud.requests[0].header("authorization") == "platform-token"


async def test_a_container_may_have_keys_without_showing_anything(cloud):
    cloud.reply("/creds", Reply(body=KEYS_JSON))

    assert await ContainerKeys(f"{cloud.origin}/creds", None, now=lambda: NOW).fetch() == FETCHED
    assert cloud.requests[0].header("authorization") is None


async def test_a_container_without_its_platforms_token_has_no_keys(cloud, tmp_path):
    keys = ContainerKeys(f"{cloud.origin}/creds", tmp_path / "none")

    assert (await failure_of(keys.fetch())).kind is FailureKind.AUTHENTICATION


async def test_a_machine_has_keys_for_its_role(cloud):
    role = "/latest/meta-data/iam/security-credentials/"
    cloud.reply("/latest/api/token", Reply(body=b"session-1", media_type="text/plain"))
    cloud.reply(role, Reply(body=b"gateway-role", media_type="text/plain"))
    cloud.reply("/gateway-role", Reply(body=KEYS_JSON))

    assert await InstanceKeys(cloud.origin, now=lambda: NOW).fetch() == FETCHED
    asked = [(it.method, it.path, it.header("x-aws-ec2-metadata-token")) for it in cloud.requests]
    assert asked == [
        ("PUT", "/latest/api/token", None),
        ("GET", role, "session-1"),
        ("GET", f"{role}gateway-role", "session-1"),
    ]


@pytest.mark.parametrize("role", [b"a/../b", b"<html>", b"a\nb"])
async def test_a_role_that_is_no_name_is_not_asked_for(cloud, role):
    cloud.reply("/latest/api/token", Reply(body=b"session-1"))
    cloud.reply("/security-credentials/", Reply(body=role))

    failure = await failure_of(InstanceKeys(cloud.origin).fetch())

    assert failure.kind is FailureKind.SERVER_ERROR
    assert len(cloud.requests) == 2


@pytest.mark.parametrize("body", [b"", {"Code": "Failed"}, KEYS_JSON | {"Expiration": "soon"}])
async def test_what_holds_no_keys_is_a_failure(cloud, body):
    cloud.reply("/creds", Reply(body=body))

    failure = await failure_of(ContainerKeys(f"{cloud.origin}/creds", None).fetch())

    assert failure.kind is FailureKind.SERVER_ERROR


async def test_standing_keys_sign_at_the_present_time():
    at = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    requests = SignedRequests(
        StandingKeys(AwsKeys("AKID", SECRET)), Scope("eu-west-1", "bedrock"), now=lambda: at
    )

    headers = dict(await requests.headers("https://x.example/", (("accept", "y"),), b"{}"))

    assert headers["x-amz-date"] == "20250102T030405Z"
    assert headers["accept"] == "y"
    assert SECRET not in str(headers)
