"""The worst that clients and upstreams do: the right answer, in time, and the next one is served."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from gateway_process import KEY, SMALL_KEY, UPSTREAM_KEY, Gateway
from upstream import Behaviour, Close, Hang, Lie, Refuse, RemoteUpstream, SlowHead
from upstream.behaviours import DEFAULT_TEXT

pytestmark = pytest.mark.mesh

MIB = 1 << 20
CHAT = "/v1/chat/completions"


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client
        answer = await client.post(CHAT, json=chat("still serving?"))
        assert answer.status_code == 200, answer.text


def chat(text: str = "hello", model: str = "one-try", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def openai_error(answer: httpx.Response, status: int) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return dict(error)


DEEP = b'{"model": "one-try", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
MALFORMED = {
    "empty": b"",
    "no JSON": b"hello",
    "cut": b'{"model": "one-try", "messages": [',
    "an array": b"[]",
    "a string": b'"hello"',
    "null": b"null",
    "invalid UTF-8": b'{"model": "one-try", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "deep nesting": DEEP,
    "two documents": b"{}{}",
    "no model": b'{"messages": [{"role": "user", "content": "x"}]}',
    "empty model": b'{"model": "", "messages": [{"role": "user", "content": "x"}]}',
    "model is a number": b'{"model": 5, "messages": [{"role": "user", "content": "x"}]}',
    "no messages": b'{"model": "one-try"}',
    "messages is a string": b'{"model": "one-try", "messages": "hello"}',
    "stream is a word": b'{"model": "one-try", "stream": "yes", "messages": [{"role": "user"}]}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_body_is_a_bad_request(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(CHAT, content=body, headers={"content-type": "application/json"})

    error = openai_error(answer, 400)
    assert error["type"] == "invalid_request_error"


async def test_a_malformed_embeddings_request_is_a_bad_request(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"model": "text-embedding-3-small"})

    assert openai_error(answer, 400)["param"] == "input"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "Bearer mg-nobody-knows-this"},
        {"x-api-key": "mg-nobody-knows-this"},
    ],
)
async def test_a_missing_or_wrong_key_is_unauthorized(
    gateway: Gateway, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    async with gateway.client(key=None) as stranger:
        answer = await stranger.post(CHAT, content=b"not even JSON", headers=headers)

    assert openai_error(answer, 401)["code"] == "invalid_api_key"


async def test_a_key_may_come_as_x_api_key(gateway: Gateway, client: httpx.AsyncClient) -> None:
    async with gateway.client(key=None) as other:
        answer = await other.post(CHAT, json=chat(), headers={"x-api-key": KEY})

    assert answer.status_code == 200


async def test_a_body_of_20_mb_is_fine(client: httpx.AsyncClient, upstream: RemoteUpstream) -> None:
    answer = await client.post(CHAT, json=chat("x" * 20_000_000))

    assert answer.status_code == 200, answer.text[:300]
    [request] = await upstream.requests()
    assert len(request.raw_body) > 20_000_000


async def test_an_answer_of_20_mb_is_fine(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("long", Behaviour(text="word ", text_bytes=20_000_000))

    answer = await client.post(CHAT, json=chat("long"))

    assert len(answer.json()["choices"][0]["message"]["content"]) == 20_000_000


async def test_a_body_over_64_mib_is_too_large(client: httpx.AsyncClient) -> None:
    body = b'{"model": "one-try", "messages": "' + b"x" * (64 * MIB) + b'"}'

    answer = await client.post(CHAT, content=body)

    openai_error(answer, 413)


async def test_huge_headers_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json=chat(), headers={"x-large": "x" * 70_000})

    openai_error(answer, 431)


async def test_large_headers_are_fine(client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json=chat(), headers={"x-large": "x" * 50_000})

    assert answer.status_code == 200


async def test_an_unknown_path_is_not_found(client: httpx.AsyncClient) -> None:
    openai_error(await client.post("/v1/nothing", json={}), 404)


async def test_a_bad_timeout_is_a_bad_request(client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json=chat(), headers={"x-meshgate-timeout": "soon"})

    assert "x-meshgate-timeout" in str(openai_error(answer, 400)["message"])


async def test_the_clients_timeout_is_kept(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Hang("head")))

    answer = await client.post(CHAT, json=chat(), headers={"x-meshgate-timeout": "300ms"})

    openai_error(answer, 504)
    assert (await upstream.ending()).outcome == "client_gone"


async def test_an_unreachable_upstream_is_a_bad_gateway(client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json=chat(model="unreachable"))

    openai_error(answer, 502)


@pytest.mark.parametrize("form", ["plain", "streamed"])
@pytest.mark.parametrize("at", ["head", "body"])
async def test_a_hanging_upstream_is_a_gateway_timeout(
    client: httpx.AsyncClient, upstream: RemoteUpstream, at: str, form: str
) -> None:
    await upstream.script("hello", Behaviour(fault=Hang(at)))

    answer = await client.post(CHAT, json=chat(model="hasty", stream=form == "streamed"))

    openai_error(answer, 504)
    assert (await upstream.ending()).outcome == "client_gone"


async def test_a_stream_that_stalls_ends_with_an_error_event(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Hang("event", after_events=2)))

    answer = await client.post(CHAT, json=chat(model="hasty", stream=True))

    assert answer.status_code == 200
    events = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    assert "[DONE]" not in answer.text
    assert json.loads(events[-1].removeprefix("data: "))["error"]["message"]


@pytest.mark.parametrize("form", ["plain", "streamed"])
@pytest.mark.parametrize(
    "kind",
    ["error_json", "html", "empty", "json_for_stream", "truncated_json", "invalid_json"],
)
async def test_a_lying_upstream_is_a_bad_gateway(
    client: httpx.AsyncClient, upstream: RemoteUpstream, kind: str, form: str
) -> None:
    if kind == "json_for_stream" and form == "plain":
        kind = "stream_for_plain"
    await upstream.script("hello", Behaviour(fault=Lie(kind)))

    answer = await client.post(CHAT, json=chat(stream=form == "streamed"))

    if answer.status_code == 200:  # the lie came after a good first event
        assert form == "streamed"
        assert '"error"' in answer.text
        assert "[DONE]" not in answer.text
    else:
        openai_error(answer, 502)


@pytest.mark.parametrize("by", ["eof", "reset"])
async def test_an_upstream_that_hangs_up_is_a_bad_gateway(
    client: httpx.AsyncClient, upstream: RemoteUpstream, by: str
) -> None:
    await upstream.script("hello", Behaviour(fault=Close(by=by)))

    openai_error(await client.post(CHAT, json=chat()), 502)


async def test_the_gateways_credential_is_never_shown(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    refusal = Refuse(401, message=f"Incorrect API key provided: {UPSTREAM_KEY}")
    await upstream.script("hello", Behaviour(fault=refusal))

    answer = await client.post(CHAT, json=chat())

    openai_error(answer, 502)
    assert UPSTREAM_KEY not in answer.text
    assert UPSTREAM_KEY not in gateway.logs()


async def test_a_slow_head_is_waited_for(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=SlowHead()))

    answer = await client.post(CHAT, json=chat())

    assert answer.json()["choices"][0]["message"]["content"] == DEFAULT_TEXT


async def test_a_client_that_leaves_cancels_the_upstream(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Hang("head")))

    with pytest.raises(httpx.ReadTimeout):
        await client.post(CHAT, json=chat(), timeout=0.5)

    assert (await upstream.ending()).outcome == "client_gone"


async def test_a_client_that_leaves_a_stream_cancels_the_upstream(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Hang("event", after_events=2)))

    async with client.stream("POST", CHAT, json=chat(stream=True)) as answer:
        await anext(answer.aiter_bytes())

    assert (await upstream.ending()).outcome == "client_gone"


async def test_request_ids_are_kept_or_made(client: httpx.AsyncClient) -> None:
    given = await client.post(CHAT, json=chat(), headers={"x-request-id": "mine-1"})
    made = await client.post(CHAT, json=chat())

    assert given.headers["x-request-id"] == "mine-1"
    assert made.headers["x-request-id"] not in {"", "mine-1"}


async def test_nothing_secret_is_logged(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await client.post(CHAT, json=chat("a very private prompt"))
    await client.post(CHAT, json=chat("a very private prompt", model="unreachable"))
    await client.post(CHAT, content=b'{"model": "one-try", "messages": "a very private prompt"}')

    logs = gateway.logs()
    for secret in ("a very private prompt", KEY, SMALL_KEY, UPSTREAM_KEY):
        assert secret not in logs


async def test_bad_requests_among_good_ones_disturb_nobody(client: httpx.AsyncClient) -> None:
    async def one(number: int) -> int:
        body = json.dumps(chat()).encode() if number % 2 else b"{"
        return (await client.post(CHAT, content=body)).status_code

    statuses = await asyncio.gather(*(one(number) for number in range(60)))

    assert statuses == [400, 200] * 30
