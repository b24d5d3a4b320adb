"""Attempts at upstreams that have OpenAI's responses, and at those that have not."""

import json

import pytest
from provider.attempts import KEY, attempt, chat
from upstream import Behaviour, ErrorEvent, Refuse

from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_responses import grammar
from meshgate.provider.api import Connection
from meshgate.provider.apis.catalogue import api_of
from meshgate.provider.failures import AttemptFailedError, FailureKind
from meshgate.provider.http_upstream import HttpUpstream
from meshgate.provider.upstream import ClientOptions

DIALECT = "openai_responses"
RESPONSES, CHATS = "/v1/responses", "/v1/chat/completions"


def asking(**members):
    return json.dumps({"model": "m", "input": "Hi"} | members).encode()


@pytest.fixture
async def at(client_factory, fake):
    made = []

    def make(kind, **options):
        connection = Connection(kind, fake.base_url, KEY, options=options)
        api = api_of(connection, lambda: client_factory(ClientOptions()))
        made.append(HttpUpstream(api, client_factory(ClientOptions())))
        return made[-1]

    yield make
    for upstream in made:
        await upstream.close()


@pytest.mark.parametrize(
    ("kind", "options", "path", "chat_path"),
    [
        ("openai", {}, RESPONSES, CHATS),
        ("openai", {"api": "responses"}, RESPONSES, RESPONSES),
        ("openai-compatible", {}, CHATS, CHATS),
        ("openai-compatible", {"responses": "true"}, RESPONSES, CHATS),
    ],
)
async def test_each_is_asked_by_the_api_that_it_has(at, fake, kind, options, path, chat_path):
    upstream = at(kind, **options)

    answer = await upstream.answer(attempt(asking(), DIALECT, output_cap=20))
    await upstream.answer(attempt(chat()))

    assert json.loads(answer.body)["object"] == "response"
    assert answer.usage.output_tokens == 9
    assert [request.path for request in fake.requests] == [path, chat_path]
    assert 20 in fake.requests[0].body.values()


@pytest.mark.parametrize("kind", ["openai", "openai-compatible"])
async def test_a_stream_is_passed_on_or_translated(at, kind):
    steps = [step async for step in at(kind).stream(attempt(asking(stream=True), DIALECT))]

    grammar.check(b"".join(step for step in steps if isinstance(step, bytes)))
    assert steps[-1].finish_reason is FinishReason.STOP
    assert (steps[-1].usage.input_tokens, steps[-1].usage.output_tokens) == (5, 9)


@pytest.mark.parametrize("kind", ["openai", "openai-compatible"])
@pytest.mark.parametrize(
    ("fault", "kind_of_failure"),
    [
        (Refuse(429), FailureKind.RATE_LIMITED),
        (Refuse(400, code="invalid_prompt"), FailureKind.CONTENT_POLICY),
        (Refuse(400, code="image_too_large"), FailureKind.INVALID_REQUEST),
        (ErrorEvent(after_events=2, code="server_is_overloaded"), FailureKind.OVERLOADED),
    ],
)
async def test_what_goes_wrong_is_told_by_its_kind(at, fake, kind, fault, kind_of_failure):
    fake.default(Behaviour(fault=fault))

    with pytest.raises(AttemptFailedError) as raised:
        async for _ in at(kind).stream(attempt(asking(stream=True), DIALECT)):
            pass

    assert raised.value.failure.kind is kind_of_failure


async def test_a_translated_answer_that_is_larger_than_may_be_kept_fails_clearly(at, fake):
    fake.default(Behaviour(text="word ", text_bytes=9 * 2**20, chunks=12))

    passed = []

    async def read():
        stream = at("openai-compatible").stream(attempt(asking(stream=True), DIALECT))
        passed.extend([step async for step in stream if isinstance(step, bytes)])

    with pytest.raises(AttemptFailedError) as raised:
        await read()

    assert not any(b"response.completed" in piece for piece in passed)
    assert raised.value.failure.kind is FailureKind.SERVER_ERROR
    assert "too large" in raised.value.failure.message


async def test_one_that_passes_through_may_be_larger(at, fake):
    fake.default(Behaviour(text="word ", text_bytes=9 * 2**20, chunks=12))

    steps = [step async for step in at("openai").stream(attempt(asking(stream=True), DIALECT))]

    assert steps[-1].finish_reason is FinishReason.STOP
    assert sum(len(step) for step in steps if isinstance(step, bytes)) > 4 * 9 * 2**20
