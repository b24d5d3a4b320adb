"""Anthropic's API as an upstream, for callers of its own dialect and of others."""

import json
from contextlib import aclosing

import pytest
from provider.attempts import KEY, attempt, chat, failure_of, streamed_chat
from upstream import Behaviour, ErrorEvent, FakeUpstream, Refuse, Usage

from meshgate.dialects.anthropic_messages import grammar
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.neutral import Usage as Counted
from meshgate.provider.aiohttp_client import AiohttpClient
from meshgate.provider.api import Connection
from meshgate.provider.apis.anthropic import anthropic_api
from meshgate.provider.attempt import StreamDone
from meshgate.provider.failures import AttemptFailedError, FailureKind
from meshgate.provider.http_upstream import HttpUpstream
from meshgate.provider.upstream import ClientOptions
from meshgate.runtime.errors import UnsupportedError

MESSAGES = "anthropic_messages"
CALLERS = (("anthropic-version", "2026-10-21"), ("anthropic-beta", "a-1,b-2"))


@pytest.fixture
async def fake():
    async with FakeUpstream(api_key=KEY) as fake:
        yield fake


@pytest.fixture
async def upstream(fake):
    connection = Connection("anthropic", fake.base_url, KEY, {"x-team": "core"})
    upstream = HttpUpstream(anthropic_api(connection), AiohttpClient(ClientOptions()))
    yield upstream
    await upstream.close()


def message(text="hello there", **more):
    asked = {"model": "public-name", "max_tokens": 50}
    return json.dumps(asked | {"messages": [{"role": "user", "content": text}]} | more).encode()


async def steps_of(upstream, wanted):
    async with aclosing(upstream.stream(wanted)) as steps:
        return [step async for step in steps]


async def test_a_plain_answer_passes_untouched(upstream, fake):
    usage = Usage(input_tokens=10, output_tokens=4, cached_input_tokens=6, reasoning_tokens=1)
    fake.default(Behaviour(usage=usage))

    answer = await upstream.answer(attempt(message(tomorrow=[1.0]), MESSAGES))

    assert json.loads(answer.body)["usage"]["input_tokens"] == 4
    assert answer.usage == Counted(
        input_tokens=10,
        cached_input_tokens=6,
        output_tokens=4,
        reasoning_tokens=1,
        service_tier="standard",
    )
    assert answer.served_model == "upstream-model"
    assert answer.finish_reason is FinishReason.STOP
    assert dict(answer.headers)["request-id"].startswith("req_fake")
    assert fake.requests[0].body["tomorrow"] == [1.0]


async def test_the_gateway_proves_itself_as_anthropic_wants_it(upstream, fake):
    await upstream.answer(attempt(message(), MESSAGES))

    request = fake.requests[0]
    assert request.header("x-api-key") == KEY
    assert request.header("authorization") is None
    assert request.header("anthropic-version") == "2023-06-01"
    assert request.header("x-team") == "core"


@pytest.mark.parametrize(
    ("body", "dialect", "version", "beta"),
    [
        (message(), MESSAGES, "2026-10-21", "a-1,b-2"),
        (message(), "anthropic_token_count", "2026-10-21", "a-1,b-2"),
        (chat(), "openai_chat", "2023-06-01", None),
    ],
)
async def test_versions_and_betas_are_told_for_callers_of_the_dialect(
    upstream, fake, body, dialect, version, beta
):
    wanted = attempt(body, dialect)

    await upstream.answer(type(wanted)(**{**_members(wanted), "headers": CALLERS}))

    request = fake.requests[0]
    assert request.header("anthropic-version") == version
    assert request.header("anthropic-beta") == beta
    assert len([name for name, _ in request.headers if name == "anthropic-version"]) == 1


async def test_a_stream_is_legal_and_tells_its_usage(upstream, fake):
    usage = Usage(input_tokens=10, output_tokens=4, cached_input_tokens=6)
    fake.default(Behaviour(usage=usage))

    _, *chunks, done = await steps_of(upstream, attempt(message(stream=True), MESSAGES))

    grammar.check(b"".join(chunks))
    assert isinstance(done, StreamDone)
    assert (done.usage.input_tokens, done.usage.output_tokens) == (10, 4)


async def test_callers_of_openais_dialect_are_answered_in_it(upstream, fake):
    plain = await upstream.answer(attempt(chat()))
    _, *chunks, done = await steps_of(upstream, attempt(streamed_chat()))

    assert json.loads(plain.body)["object"] == "chat.completion"
    assert b"".join(chunks).endswith(b"data: [DONE]\n\n")
    assert done.finish_reason is FinishReason.STOP
    assert [request.path for request in fake.requests] == ["/v1/messages"] * 2


async def test_what_nobody_else_tells_is_refused(upstream):
    with pytest.raises(UnsupportedError):
        await upstream.answer(attempt(b"{}", "openai_completions"))


async def test_a_count_uses_nothing(upstream):
    answer = await upstream.answer(attempt(message("one two three"), "anthropic_token_count"))

    assert json.loads(answer.body) == {"input_tokens": 3}
    assert answer.usage == Counted()


@pytest.mark.parametrize(
    ("refuse", "kind"),
    [
        (Refuse(400), FailureKind.INVALID_REQUEST),
        (Refuse(400, message="prompt is too long: 9 tokens > 8"), FailureKind.CONTEXT_WINDOW),
        (Refuse(401), FailureKind.AUTHENTICATION),
        (Refuse(402, error_type="billing_error"), FailureKind.RATE_LIMITED),
        (Refuse(403), FailureKind.AUTHENTICATION),
        (Refuse(404), FailureKind.NOT_FOUND),
        (Refuse(413), FailureKind.INVALID_REQUEST),
        (Refuse(429), FailureKind.RATE_LIMITED),
        (Refuse(500), FailureKind.SERVER_ERROR),
        (Refuse(529), FailureKind.OVERLOADED),
    ],
    ids=lambda it: str(it.status) if isinstance(it, Refuse) else it.value,
)
async def test_every_refusal_is_of_its_kind(upstream, fake, refuse, kind):
    fake.default(Behaviour(fault=refuse))

    failure = await failure_of(upstream, attempt(message(), MESSAGES))

    assert failure.kind is kind
    assert failure.upstream_status == refuse.status


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("overloaded_error", FailureKind.OVERLOADED),
        ("api_error", FailureKind.SERVER_ERROR),
        ("rate_limit_error", FailureKind.RATE_LIMITED),
        ("timeout_error", FailureKind.TIMEOUT),
        ("not_found_error", FailureKind.NOT_FOUND),
        ("invalid_request_error", FailureKind.INVALID_REQUEST),
    ],
)
@pytest.mark.parametrize("after_events", [0, 4])
async def test_errors_within_a_stream_are_of_their_kind(upstream, fake, word, kind, after_events):
    fake.default(Behaviour(fault=ErrorEvent(after_events=after_events, error_type=word)))

    with pytest.raises(AttemptFailedError) as caught:
        await steps_of(upstream, attempt(message(stream=True), MESSAGES))

    assert caught.value.failure.kind is kind


def _members(wanted):
    return {name: getattr(wanted, name) for name in wanted.__struct_fields__}
