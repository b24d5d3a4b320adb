"""What goes wrong at OpenAI's API, by way of every client."""

import asyncio

import pytest
from provider.attempts import (
    KEY,
    attempt,
    chat,
    failure_of,
    streamed,
    streamed_chat,
)
from provider.raw_server import answering, raw_server
from upstream import (
    Behaviour,
    Close,
    Cut,
    Endless,
    ErrorEvent,
    Hang,
    Lie,
    Refuse,
)
from upstream import Usage as FakeUsage

from meshgate.dialects.neutral import Usage
from meshgate.provider.failures import FailureKind

BOUND_SECONDS = 20

EVENT_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
FIRST_EVENT = b"""data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":\
[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}\n\n"""


@pytest.mark.parametrize("by", ["eof", "reset", "end"])
async def test_a_cut_stream_is_a_failure_and_never_done(upstream, fake, by):
    fake.default(Behaviour(fault=Cut(after_events=3, by=by)))

    stream = await streamed(upstream, attempt(streamed_chat()))

    assert stream.chunks
    assert stream.failure.kind is FailureKind.CONNECTION
    assert b"[DONE]" not in stream.body


@pytest.mark.parametrize("by", ["eof", "reset", "end"])
async def test_a_stream_that_is_cut_before_its_first_event_has_no_head(upstream, fake, by):
    fake.default(Behaviour(fault=Cut(after_events=0, by=by)))

    stream = await streamed(upstream, attempt(streamed_chat()))

    assert stream.head is None
    assert stream.failure.kind is FailureKind.CONNECTION


async def test_a_stream_that_is_cut_within_its_first_event_has_no_head(make_upstream):
    begun = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        b'a\r\ndata: {"ch\r\n'
    )

    async with raw_server(answering(begun)) as url:
        stream = await streamed(make_upstream(url.rstrip("/")), attempt(streamed_chat()))

    assert stream.head is None
    assert stream.failure.kind is FailureKind.CONNECTION


async def test_an_error_as_first_event_comes_without_a_head(upstream, fake):
    fake.default(Behaviour(fault=ErrorEvent(after_events=0, code="rate_limit_exceeded")))

    stream = await streamed(upstream, attempt(streamed_chat()))

    assert stream.head is None
    assert stream.failure.kind is FailureKind.RATE_LIMITED


async def test_an_error_in_the_first_read_comes_without_a_head(make_upstream):
    error = b'data: {"error":{"message":"oh","type":"overloaded_error"}}\n\n'

    async with raw_server(answering(EVENT_STREAM + FIRST_EVENT + error)) as url:
        stream = await streamed(make_upstream(url.rstrip("/")), attempt(streamed_chat()))

    assert stream.head is None
    assert stream.failure.kind is FailureKind.OVERLOADED


async def test_an_error_in_the_middle_ends_the_stream_after_what_came(upstream, fake):
    fake.default(Behaviour(fault=ErrorEvent(after_events=3, message=f"host {KEY} broke")))

    stream = await streamed(upstream, attempt(streamed_chat()))

    assert stream.chunks
    assert stream.failure.kind is FailureKind.SERVER_ERROR
    assert KEY not in stream.failure.message


async def test_usage_is_told_with_a_failure_where_it_is_known(upstream, fake):
    fake.default(
        Behaviour(usage=FakeUsage(5, 9), fault=Cut(after_events=7, by="eof"), usage_sent="always")
    )

    stream = await streamed(upstream, attempt(streamed_chat()))

    expected = Usage(input_tokens=5, output_tokens=9, service_tier="default")
    assert stream.failure.usage == expected


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Refuse(400), "invalid_request"),
        (Refuse(400, code="context_length_exceeded"), "context_window"),
        (Refuse(400, code="content_policy_violation"), "content_policy"),
        (Refuse(401), "authentication"),
        (Refuse(403), "authentication"),
        (Refuse(404), "not_found"),
        (Refuse(408), "timeout"),
        (Refuse(413), "invalid_request"),
        (Refuse(422), "invalid_request"),
        (Refuse(429), "rate_limited"),
        (Refuse(500), "server_error"),
        (Refuse(502, body="html"), "server_error"),
        (Refuse(503, body="text"), "overloaded"),
        (Refuse(504, body="empty"), "timeout"),
        (Refuse(529), "overloaded"),
        (Close(by="eof"), "connection"),
        (Close(by="reset"), "connection"),
        (Lie("error_json"), "server_error"),
        (Lie("html"), "server_error"),
        (Lie("empty"), "server_error"),
        (Lie("truncated_json"), "server_error"),
        (Lie("invalid_json"), "server_error"),
        (Lie("invalid_utf8"), "server_error"),
        (Lie("stream_for_plain"), "server_error"),
        (Lie("content_length_too_long"), "connection"),
        (Cut(by="eof"), "connection"),
        (Cut(by="reset"), "connection"),
        (Cut(by="end"), "server_error"),
    ],
    ids=str,
)
async def test_what_goes_wrong_with_a_plain_answer_has_its_kind(upstream, fake, fault, kind):
    fake.default(Behaviour(fault=fault))

    failure = await failure_of(upstream, attempt(chat()))

    assert failure.kind.value == kind
    assert failure.message
    assert failure.upstream_status == getattr(fault, "status", 0)


async def test_an_answer_that_is_longer_than_it_says_is_a_failure(upstream, fake):
    fake.default(Behaviour(fault=Lie("content_length_too_short")))

    failure = await failure_of(upstream, attempt(chat()))

    # Some clients find the bytes too many, the others only that what is left is no JSON.
    assert failure.kind in {FailureKind.CONNECTION, FailureKind.SERVER_ERROR}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Refuse(429), "rate_limited"),
        (Refuse(401), "authentication"),
        (Close(by="eof"), "connection"),
        (Lie("error_json"), "server_error"),
        (Lie("html"), "server_error"),
        (Lie("empty"), "server_error"),
        (Lie("json_for_stream"), "server_error"),
    ],
    ids=str,
)
async def test_what_goes_wrong_before_a_stream_comes_without_a_head(upstream, fake, fault, kind):
    fake.default(Behaviour(fault=fault))

    stream = await streamed(upstream, attempt(streamed_chat()))

    assert stream.head is None
    assert stream.failure.kind.value == kind


async def test_an_event_that_cannot_be_understood_ends_the_stream(upstream, fake):
    fake.default(Behaviour(fault=Lie("truncated_json")))

    stream = await streamed(upstream, attempt(streamed_chat()))

    assert stream.failure.kind is FailureKind.SERVER_ERROR


async def test_retry_after_is_told(upstream, fake):
    fake.default(Behaviour(fault=Refuse(429, retry_after="7")))

    assert (await failure_of(upstream, attempt(chat()))).retry_after_seconds == 7.0


async def test_a_refusal_of_the_request_is_told_in_the_upstreams_words(upstream, fake):
    fake.default(
        Behaviour(fault=Refuse(400, message="too hot", code="too_high", param="temperature"))
    )

    failure = await failure_of(upstream, attempt(chat()))

    assert (failure.message, failure.code, failure.field) == ("too hot", "too_high", "temperature")


async def test_credentials_and_addresses_never_stand_in_a_message(make_upstream, fake):
    upstream = make_upstream(fake.base_url, **{"x-api-key": "another-secret"})
    host = fake.origin.removeprefix("http://")
    fake.default(Behaviour(fault=Refuse(400, message=f"{KEY} at {host}, {'another-secret'}")))

    failure = await failure_of(upstream, attempt(chat()))

    assert failure.message == "*** at ***, ***"


async def test_redirects_are_failures(make_upstream):
    answer = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"

    async with raw_server(answering(answer)) as url:
        failure = await failure_of(make_upstream(url.rstrip("/")), attempt(chat()))

    assert failure.kind is FailureKind.SERVER_ERROR
    assert "redirect" in failure.message


@pytest.mark.parametrize("body", [chat(), streamed_chat()], ids=["plain", "streamed"])
@pytest.mark.parametrize("at", ["head", "body"])
async def test_an_upstream_that_hangs_is_a_timeout(upstream, fake, body, at):
    fake.default(Behaviour(fault=Hang(at=at)))
    wanted = attempt(body, first_token_seconds=0.05)

    failure = (
        await failure_of(upstream, wanted)
        if body == chat()
        else (await streamed(upstream, wanted)).failure
    )

    assert failure.kind is FailureKind.TIMEOUT
    assert "begin" in failure.message
    assert (await fake.ending()).outcome == "client_gone"


async def test_a_stream_that_stops_is_a_timeout(upstream, fake):
    fake.default(Behaviour(fault=Hang(at="event", after_events=2)))

    stream = await streamed(upstream, attempt(streamed_chat(), between_tokens_seconds=0.05))

    assert stream.chunks
    assert stream.failure.kind is FailureKind.TIMEOUT


async def test_a_stream_without_end_exceeds_the_total(upstream, fake):
    fake.default(Behaviour(fault=Endless()))

    stream = await streamed(upstream, attempt(streamed_chat(), total_seconds=0.3))

    assert stream.chunks
    assert stream.failure.kind is FailureKind.TIMEOUT


async def test_an_error_whose_body_never_comes_is_told_by_its_status(make_upstream):
    answer = b"HTTP/1.1 503 Unavailable\r\ncontent-length: 100\r\n\r\n"

    async with raw_server(answering(answer)) as url:
        failure = await failure_of(make_upstream(url.rstrip("/")), attempt(chat()))

    assert failure.kind is FailureKind.OVERLOADED


async def test_an_upstream_that_says_more_after_its_end_is_not_listened_to(make_upstream):
    events = FIRST_EVENT.replace(b"null", b'"stop"') + b"data: [DONE]\n\n"

    async with raw_server(answering(EVENT_STREAM + events + b"data: more\n\n")) as url:
        stream = await streamed(make_upstream(url.rstrip("/")), attempt(streamed_chat()))

    assert stream.body == events
    assert stream.done


@pytest.mark.parametrize("at", ["head", "event"])
async def test_giving_up_a_stream_ends_the_upstreams_work(upstream, fake, at):
    fake.default(Behaviour(fault=Hang(at=at)))
    reading = asyncio.create_task(streamed(upstream, attempt(streamed_chat())))
    await fake.arrival()

    reading.cancel()

    async with asyncio.timeout(BOUND_SECONDS):
        assert (await fake.ending()).outcome == "client_gone"
    await asyncio.gather(reading, return_exceptions=True)
