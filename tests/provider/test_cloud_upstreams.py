"""Attempts at upstreams in clouds and at Cohere, by way of the fake cloud."""

import asyncio
import json
from dataclasses import replace

import pytest
from provider.attempts import attempt, chat, failure_of, streamed, streamed_chat
from provider.configuration import KEY as KEY_REFERENCE
from provider.configuration import Secrets
from provider.configuration import snapshot as snapshot_of
from upstream.cloud import FakeCloud, Reply
from upstream.event_stream import MEDIA_TYPE, event, exception

from meshgate.config.snapshot import HttpProvider
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.translation import UPSTREAM_DIALECTS, translator
from meshgate.provider.api import Connection, Endpoint
from meshgate.provider.apis.catalogue import api_of
from meshgate.provider.apis.vertex import PUBLISHERS, Reshaped, addresses
from meshgate.provider.failures import FailureKind
from meshgate.provider.http1_client import Http1Client
from meshgate.provider.http_upstream import HttpUpstream
from meshgate.provider.upstream import ClientOptions
from meshgate.provider.upstreams import Upstreams

TEXT = "The quick brown fox jumps over the lazy dog."
KEY = "secret-key-0123456789"
AWS = {"region": "eu-west-1", "access_key_id": "AKID", "secret_access_key": KEY}
INNER = translator("openai_chat", "openai_chat")
CONVERSE_USAGE = Usage(
    input_tokens=17, cached_input_tokens=3, cache_creation_input_tokens=2, output_tokens=9
)


@pytest.fixture
async def cloud():
    async with FakeCloud() as cloud:
        yield cloud


@pytest.fixture
async def make_upstream(cloud):
    made = []

    def make(kind, api_key="", base_url=None, **options):
        connection = Connection(kind, base_url or cloud.origin, api_key, {}, options)
        api = api_of(connection, lambda: Http1Client(ClientOptions()))
        made.append(HttpUpstream(api, Http1Client(ClientOptions())))
        return made[-1]

    yield make
    for upstream in made:
        await upstream.close()


def api(kind, api_key="", **options):
    connection = Connection(kind, "http://127.0.0.1:1", api_key, {}, options)
    return api_of(connection, lambda: Http1Client(ClientOptions()))


def content(answer):
    return json.loads(answer.body)["choices"][0]["message"]["content"]


async def test_a_question_to_bedrock_is_signed_and_translated(make_upstream, cloud):
    upstream = make_upstream("bedrock", **AWS)

    answer = await upstream.answer(attempt(chat("hello", temperature=0.5)))

    [request] = cloud.requests
    assert request.path == "/model/upstream-model/converse"
    assert request.body["messages"] == [{"role": "user", "content": [{"text": "hello"}]}]
    scope = request.header("authorization").split("/", 1)[1].split(",")[0]
    assert scope.endswith("/eu-west-1/bedrock/aws4_request")
    assert request.header("x-amz-date")
    assert content(answer) == TEXT
    assert json.loads(answer.body)["model"] == "upstream-model"
    assert answer.served_model == "upstream-model"
    assert answer.usage == CONVERSE_USAGE
    assert answer.finish_reason is FinishReason.STOP
    assert answer.headers == (("x-upstream-request-id", "aws-1"),)


async def test_a_stream_of_bedrocks_is_binary_and_becomes_events(make_upstream, cloud):
    got = await streamed(make_upstream("bedrock", **AWS), attempt(streamed_chat()))

    assert cloud.requests[0].path == "/model/upstream-model/converse-stream"
    assert cloud.requests[0].header("accept") == MEDIA_TYPE
    assert got.text() == TEXT
    assert got.done.usage == CONVERSE_USAGE
    assert got.done.served_model == "upstream-model"
    assert b'"model":"upstream-model"' in got.body


async def test_a_key_of_bedrocks_own_goes_as_it_is(make_upstream, cloud):
    await make_upstream("bedrock", KEY, region="eu-west-1").answer(attempt(chat()))

    assert cloud.requests[0].header("authorization") == f"Bearer {KEY}"
    assert cloud.requests[0].header("x-amz-date") is None


@pytest.mark.parametrize(
    ("status", "name", "message", "kind"),
    [
        (429, "ThrottlingException", "Too many tokens", FailureKind.RATE_LIMITED),
        (429, "ModelNotReadyException", "wait", FailureKind.RATE_LIMITED),
        (403, "AccessDeniedException", "no access for 123", FailureKind.AUTHENTICATION),
        (404, "ResourceNotFoundException", "no model", FailureKind.NOT_FOUND),
        (408, "ModelTimeoutException", "late", FailureKind.TIMEOUT),
        (424, "ModelErrorException", "broke", FailureKind.SERVER_ERROR),
        (500, "InternalServerException", "broke", FailureKind.SERVER_ERROR),
        (503, "ServiceUnavailableException", "busy", FailureKind.OVERLOADED),
        (400, "ValidationException", "bad temperature", FailureKind.INVALID_REQUEST),
        (
            400,
            "ValidationException",
            "Input is too long for requested model.",
            FailureKind.CONTEXT_WINDOW,
        ),
    ],
)
async def test_what_bedrock_refuses_is_a_failure_of_its_kind(
    make_upstream, cloud, status, name, message, kind
):
    header = ("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/")
    cloud.reply("/converse", Reply(status, {"message": message}, [header]))

    failure = await failure_of(make_upstream("bedrock", **AWS), attempt(chat()))

    assert failure.kind is kind
    assert failure.upstream_status == status
    assert "123" not in failure.message


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", FailureKind.RATE_LIMITED),
        ("serviceUnavailableException", FailureKind.OVERLOADED),
        ("internalServerException", FailureKind.SERVER_ERROR),
        ("modelStreamErrorException", FailureKind.SERVER_ERROR),
        ("validationException", FailureKind.INVALID_REQUEST),
        ("exceptionOfTomorrow", FailureKind.SERVER_ERROR),
    ],
)
async def test_an_exception_within_a_stream_is_a_failure_of_its_kind(
    make_upstream, cloud, name, kind
):
    text = event("contentBlockDelta", delta={"text": "Hi"}, contentBlockIndex=0)
    pieces = [event("messageStart", role="assistant"), text, exception(name, "it broke")]
    cloud.reply("/converse-stream", Reply(pieces=pieces, media_type=MEDIA_TYPE))

    got = await streamed(make_upstream("bedrock", **AWS), attempt(streamed_chat()))

    assert got.head is not None
    assert got.failure.kind is kind


async def test_a_damaged_stream_never_looks_whole(make_upstream, cloud):
    good = event("messageStart", role="assistant")
    damaged = bytearray(event("messageStop", stopReason="end_turn"))
    damaged[-1] ^= 1
    reply = Reply(pieces=[good, bytes(damaged)], media_type=MEDIA_TYPE)
    cloud.reply("/converse-stream", reply)

    got = await streamed(make_upstream("bedrock", **AWS), attempt(streamed_chat()))

    assert got.failure.kind is FailureKind.SERVER_ERROR


async def test_a_stream_that_is_cut_never_looks_whole(make_upstream, cloud):
    pieces = [event("messageStart", role="assistant")]
    cloud.reply("/converse-stream", Reply(pieces=pieces, media_type=MEDIA_TYPE))

    got = await streamed(make_upstream("bedrock", **AWS), attempt(streamed_chat()))

    assert got.failure.kind is FailureKind.CONNECTION


async def test_a_role_that_cannot_be_taken_fails_the_attempt(make_upstream, cloud, tmp_path):
    options = {"role_arn": "arn", "token_file": str(tmp_path / "none"), "sts_url": cloud.origin}
    upstream = make_upstream("bedrock", region="eu-west-1", **options)

    failure = await failure_of(upstream, attempt(chat()))

    assert failure.kind is FailureKind.AUTHENTICATION
    assert cloud.requests == []


@pytest.mark.parametrize("option", ["container_url", "instance_url"])
async def test_keys_of_where_the_gateway_runs_sign_requests(make_upstream, cloud, option):
    keys = {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "t"}
    reply = Reply(body=keys | {"Expiration": "2099-01-01T00:00:00Z"})
    cloud.reply("/creds", reply)
    cloud.reply("/latest/api/token", Reply(body=b"session-1"))
    cloud.reply("/security-credentials/", Reply(body=b"creds"))
    url = f"{cloud.origin}/creds" if option == "container_url" else cloud.origin
    upstream = make_upstream("bedrock", region="eu-west-1", **{option: url})

    for _ in range(2):
        await upstream.answer(attempt(chat()))

    assert "Credential=ASIA/" in cloud.requests[-1].header("authorization")
    assert cloud.requests[-1].header("x-amz-security-token") == "t"
    assert [it.path.endswith("/creds") for it in cloud.requests].count(True) == 1


async def test_a_question_to_cohere_is_translated_and_booked_as_billed(make_upstream, cloud):
    answer = await make_upstream("cohere", KEY).answer(attempt(chat("hello", top_p=0.5)))

    [request] = cloud.requests
    assert request.path == "/v2/chat"
    assert request.header("authorization") == f"Bearer {KEY}"
    assert request.body == {
        "model": "upstream-model",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
        "p": 0.5,
    }
    assert content(answer) == TEXT
    assert answer.served_model == "upstream-model"
    assert answer.usage == Usage(input_tokens=5, output_tokens=9)


async def test_rankings_pass_through_to_cohere_and_are_booked_in_its_units(make_upstream, cloud):
    asked = {"model": "ranker", "query": "cats", "documents": ["a cat", "a dog"]}

    answer = await make_upstream("cohere", KEY).answer(
        attempt(json.dumps(asked).encode(), dialect="rerank")
    )

    [request] = cloud.requests
    assert request.path == "/v2/rerank"
    assert request.body == asked | {"model": "upstream-model"}
    assert [it["index"] for it in json.loads(answer.body)["results"]] == [0, 1]
    assert answer.usage == Usage(search_units=1)


async def test_a_stream_of_coheres_is_translated(make_upstream, cloud):
    got = await streamed(make_upstream("cohere", KEY), attempt(streamed_chat()))

    assert cloud.requests[0].body["stream"] is True
    assert got.text() == TEXT
    assert got.done.usage == Usage(input_tokens=5, output_tokens=9)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "invalid api token", FailureKind.AUTHENTICATION),
        (498, "invalid token", FailureKind.AUTHENTICATION),
        (429, "trial key", FailureKind.RATE_LIMITED),
        (
            400,
            "too many tokens: total number of tokens in the prompt cannot exceed 4081",
            FailureKind.CONTEXT_WINDOW,
        ),
        (422, "bad role", FailureKind.INVALID_REQUEST),
        (504, "late", FailureKind.TIMEOUT),
    ],
)
async def test_what_cohere_refuses_is_a_failure_of_its_kind(
    make_upstream, cloud, status, message, kind
):
    cloud.reply("/v2/chat", Reply(status, {"id": "e", "message": message}))

    failure = await failure_of(make_upstream("cohere", KEY), attempt(chat()))

    assert failure.kind is kind


async def test_azures_newer_api_is_openais(make_upstream, cloud):
    answer = await make_upstream("azure", KEY).answer(attempt(chat("hello", seed=7)))

    [request] = cloud.requests
    assert request.path == "/openai/v1/chat/completions"
    assert request.header("api-key") == KEY
    assert request.header("authorization") is None
    assert request.body["model"] == "upstream-model"
    assert content(answer) == TEXT


async def test_azures_older_api_has_the_deployment_in_its_address(make_upstream, cloud):
    upstream = make_upstream("azure", KEY, api_version="2024-10-21")

    got = await streamed(upstream, attempt(streamed_chat()))

    query = "?api-version=2024-10-21"
    path = "/openai/deployments/upstream-model/chat/completions"
    assert cloud.requests[0].path == path + query
    assert got.text() == TEXT
    assert upstream._api.endpoints["openai_embeddings"].url.endswith("/embeddings" + query)
    assert upstream._api.endpoints["openai_completions"].url.endswith("/completions" + query)


async def test_azure_takes_tokens_of_entras(make_upstream, cloud):
    token = {"access_token": "at-1", "expires_in": 3599}
    cloud.reply("/t1/oauth2/v2.0/token", Reply(body=token))
    application = {"client_id": "a", "client_secret": KEY, "scope": "s"}
    upstream = make_upstream("azure", authority=f"{cloud.origin}/t1", **application)

    for _ in range(2):
        await upstream.answer(attempt(chat()))

    paths = [request.path.rpartition("/")[2] for request in cloud.requests]
    assert paths == ["token", "completions", "completions"]
    assert cloud.requests[1].header("authorization") == "Bearer at-1"


class NeverProven:
    """A credential that is waited for in vain."""

    async def headers(self, url, headers, body):
        await asyncio.Event().wait()

    async def close(self):
        pass


async def test_waiting_for_a_credential_takes_no_longer_than_the_attempt_may(cloud):
    known = api("cohere", KEY)
    client = Http1Client(ClientOptions())
    upstream = HttpUpstream(replace(known, credentials=NeverProven()), client)

    plain = await failure_of(upstream, attempt(chat(), first_token_seconds=0.01))
    stream = await streamed(upstream, attempt(streamed_chat(), total_seconds=0.01))
    await upstream.close()

    assert plain.kind is FailureKind.TIMEOUT
    assert stream.failure.kind is FailureKind.TIMEOUT
    assert cloud.requests == []


async def test_no_token_fails_the_attempt_before_it_is_made(make_upstream, cloud):
    application = {"client_id": "a", "client_secret": KEY, "scope": "s"}
    upstream = make_upstream("azure", authority=f"{cloud.origin}/t1", **application)

    failure = await failure_of(upstream, attempt(chat()))

    assert failure.kind is FailureKind.AUTHENTICATION
    assert [request.path for request in cloud.requests] == ["/t1/oauth2/v2.0/token"]


def test_a_service_account_that_cannot_be_read_is_refused_at_once():
    options = {"project": "p", "location": "global", "publisher": "google"}

    with pytest.raises(ValueError, match="service account"):
        api("vertex", **options, service_account="{}")


async def test_a_provider_whose_account_cannot_be_read_keeps_no_other_from_answering(cloud):
    options = {"project": "p", "location": "global", "publisher": "google"}
    broken = options | {"service_account": KEY_REFERENCE}
    snapshot = snapshot_of(
        HttpProvider("broken", "vertex", cloud.origin, options=broken),
        HttpProvider("good", "cohere", cloud.origin, api_key=KEY_REFERENCE),
    )
    upstreams = Upstreams(Secrets(UPSTREAM_KEY=KEY), Http1Client)
    upstreams.follow(snapshot)

    failure = await failure_of(upstreams.find("broken"), attempt(chat()))
    answer = await upstreams.find("good").answer(attempt(chat()))
    await upstreams.close()

    assert failure.kind is FailureKind.AUTHENTICATION
    assert KEY not in failure.message
    assert content(answer) == TEXT


@pytest.mark.parametrize(
    ("publisher", "plain", "streaming"),
    [
        ("google", "generateContent", "streamGenerateContent?alt=sse"),
        ("anthropic", "rawPredict", "streamRawPredict"),
    ],
)
def test_vertex_has_an_address_for_each_model(publisher, plain, streaming):
    options = {"project": "p", "location": "europe-west4", "publisher": publisher}
    connection = Connection("vertex", "https://v.example", "", {}, options)

    endpoint = Endpoint(addresses(connection)[0], INNER, addresses(connection)[1])

    models = f"/v1/projects/p/locations/europe-west4/publishers/{publisher}/models/m%401:"
    assert endpoint.address("m@1", stream=False) == f"https://v.example{models}{plain}"
    assert endpoint.address("m@1", stream=True) == f"https://v.example{models}{streaming}"


@pytest.mark.parametrize("publisher", PUBLISHERS)
def test_vertex_answers_all_chats_as_soon_as_its_publishers_dialect_is_known(publisher):
    options = {"project": "p", "location": "global", "publisher": publisher}

    endpoints = api("vertex", **options, metadata_url="http://127.0.0.1:1").endpoints

    is_known = PUBLISHERS[publisher].dialect in UPSTREAM_DIALECTS
    assert ("openai_chat" in endpoints) is is_known


def test_claude_on_vertex_has_a_version_and_no_model_in_its_body():
    reshaped = Reshaped(INNER, PUBLISHERS["anthropic"].body)

    request = reshaped.request(chat("hello", max_tokens=5, seed=1.50), "m", stream=False)

    body = json.loads(request.body)
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in body
    assert body["max_tokens"] == 5
    assert request.head.model == "public-name"


def test_an_endpoint_for_a_model_passes_bytes_as_before():
    endpoint = Endpoint("http://x/{model}", INNER)

    assert endpoint.for_model("m") is endpoint


@pytest.mark.parametrize(
    "options",
    [
        AWS,
        AWS | {"session_token": KEY},
    ],
)
def test_secrets_are_hidden_from_what_upstreams_repeat(options):
    assert KEY in api("bedrock", **options).hidden
    assert KEY not in repr(api("bedrock", **options))
