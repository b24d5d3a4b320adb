"""What every upstream client must do, whatever it is made of."""

import asyncio
import gzip
import socket
from contextlib import aclosing

import pytest
from provider.posting import MIB, PLAIN, STREAMED, chat, drain, plain, posted
from provider.raw_server import answering, raw_server
from upstream import Behaviour, Close, Cut, FakeUpstream, Gate, Hang, Match, Refuse

from meshgate.provider.phases import Phase, PhaseTimeoutError
from meshgate.provider.upstream import (
    AnswerTooLargeError,
    BrokenConnectionError,
    ConnectFailedError,
)

BOUND_SECONDS = 20


@pytest.fixture
async def upstream():
    async with FakeUpstream() as fake:
        yield fake


async def test_the_request_arrives_as_it_was_given(client, upstream):
    status, body = await plain(client, chat(upstream))

    assert status == 200
    assert b'"chat.completion"' in body
    assert upstream.requests[0].raw_body == PLAIN
    assert upstream.requests[0].header("authorization") == "Bearer sk-upstream"
    assert upstream.requests[0].header("content-type") == "application/json"


async def test_headers_of_the_answer_can_be_looked_up(client, upstream):
    upstream.default(Behaviour(headers={"Openai-Processing-Ms": "12"}))

    async with posted(client, chat(upstream)) as response:
        assert response.header("openai-processing-ms") == "12"
        assert response.header("nowhere") == ""


async def test_connections_are_used_again(client, upstream):
    for _ in range(3):
        await plain(client, chat(upstream))

    assert {request.connection for request in upstream.requests} == {0}


async def test_a_stream_that_was_read_to_its_end_leaves_its_connection_for_the_next(
    client, upstream
):
    for _ in range(3):
        async with posted(client, chat(upstream), STREAMED) as response:
            assert [chunk async for chunk in response.chunks()]

    assert {request.connection for request in upstream.requests} == {0}


async def test_the_head_arrives_before_the_body(client, upstream):
    gate = Gate()
    upstream.script(Match(), Behaviour(), gate=gate)
    gate.let(1)

    async with posted(client, chat(upstream), STREAMED) as response:
        assert response.status == 200
        assert upstream.requests[0].events_sent == 0
        gate.open()


async def test_each_event_arrives_at_once(client, upstream):
    gate = Gate()
    upstream.script(Match(), Behaviour(), gate=gate)
    gate.let(1)

    async with (
        posted(client, chat(upstream), STREAMED) as response,
        aclosing(response.chunks()) as chunks,
    ):
        for number in range(1, 4):
            gate.let(1)
            async with asyncio.timeout(10):
                assert (await anext(chunks)).endswith(b"\n\n")
            assert upstream.requests[0].events_sent == number
        gate.open()


async def test_an_error_status_is_an_answer(client, upstream):
    upstream.default(Behaviour(fault=Refuse(429, retry_after="2")))

    async with posted(client, chat(upstream)) as response:
        assert response.status == 429
        assert response.header("retry-after") == "2"
        assert b"rate_limit_exceeded" in await response.read(MIB)


@pytest.mark.parametrize("by", ["eof", "reset"])
async def test_a_cut_stream_is_a_broken_connection(client, upstream, by):
    upstream.default(Behaviour(fault=Cut(after_events=2, by=by)))

    with pytest.raises(BrokenConnectionError):
        await drain(client, chat(upstream))


@pytest.mark.parametrize("by", ["eof", "reset"])
async def test_a_cut_answer_is_a_broken_connection(client, upstream, by):
    upstream.default(Behaviour(fault=Cut(by=by)))

    with pytest.raises(BrokenConnectionError):
        await plain(client, chat(upstream))


@pytest.mark.parametrize("by", ["eof", "reset"])
async def test_a_connection_that_closes_without_an_answer_is_broken(client, upstream, by):
    upstream.default(Behaviour(fault=Close(by=by)))

    with pytest.raises(BrokenConnectionError):
        await plain(client, chat(upstream))


async def test_what_is_no_http_is_a_broken_connection(client):
    async with raw_server(answering(b"SSH-2.0-OpenSSH_9.2\r\n")) as url:
        with pytest.raises(BrokenConnectionError):
            await plain(client, url)


async def test_a_port_where_nobody_listens_is_a_failed_connection(client):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(ConnectFailedError):
        await plain(client, f"http://127.0.0.1:{port}/")


async def test_a_name_that_does_not_exist_is_a_failed_connection(client):
    with pytest.raises(ConnectFailedError):
        await plain(client, "http://nowhere.invalid/")


@pytest.mark.parametrize("whose", ["provider", "attempt"])
async def test_connecting_is_bounded_by_the_shorter_of_two_timeouts(make_client, whose):
    of_provider, of_attempt = (0.05, 60.0) if whose == "provider" else (60.0, 0.05)
    client = make_client(connect_seconds=of_provider)

    with full_backlog() as url, pytest.raises(PhaseTimeoutError) as caught:
        await plain(client, url, connect_seconds=of_attempt)

    assert caught.value.phase is Phase.CONNECT


async def test_an_upstream_that_never_answers_exceeds_the_first_timeout(client, upstream):
    upstream.default(Behaviour(fault=Hang(at="head")))

    with pytest.raises(PhaseTimeoutError) as caught:
        await plain(client, chat(upstream), first_token_seconds=0.05)

    assert caught.value.phase is Phase.FIRST_TOKEN
    assert (await upstream.ending()).outcome == "client_gone"


@pytest.mark.parametrize("body", [PLAIN, STREAMED], ids=["plain", "streamed"])
async def test_a_head_without_a_body_exceeds_the_first_timeout(client, upstream, body):
    upstream.default(Behaviour(fault=Hang(at="body")))

    with pytest.raises(PhaseTimeoutError) as caught:
        await plain(client, chat(upstream), body, first_token_seconds=0.05)

    assert caught.value.phase is Phase.FIRST_TOKEN
    assert (await upstream.ending()).outcome == "client_gone"


async def test_a_stream_that_stops_exceeds_the_timeout_between_tokens(client, upstream):
    upstream.default(Behaviour(fault=Hang(at="event", after_events=2)))

    with pytest.raises(PhaseTimeoutError) as caught:
        await drain(client, chat(upstream), first_token_seconds=60, between_tokens_seconds=0.05)

    assert caught.value.phase is Phase.BETWEEN_TOKENS
    assert (await upstream.ending()).outcome == "client_gone"


async def test_the_total_bounds_everything(client, upstream):
    upstream.default(Behaviour(fault=Hang(at="event", after_events=1)))

    with pytest.raises(PhaseTimeoutError) as caught:
        await drain(client, chat(upstream), between_tokens_seconds=60, total_seconds=0.1)

    assert caught.value.phase is Phase.TOTAL


async def test_a_client_that_is_closed_ends_what_it_began(make_client, upstream):
    client = make_client()
    gate = Gate()
    upstream.script(Match(), Behaviour(), gate=gate)
    gate.let(2)

    async with posted(client, chat(upstream), STREAMED) as response:
        await client.close()
        gate.open()

        stream = b"".join([chunk async for chunk in response.chunks()])

    assert stream.endswith(b"[DONE]\n\n")


@pytest.mark.parametrize("at", ["head", "body", "event"])
async def test_cancelling_closes_the_connection(client, upstream, at):
    upstream.default(Behaviour(fault=Hang(at=at)))
    call = asyncio.create_task(plain(client, chat(upstream), STREAMED))
    await upstream.arrival()
    if at == "event":
        await upstream.events(0, 1)

    call.cancel()

    async with asyncio.timeout(BOUND_SECONDS):
        assert (await upstream.ending()).outcome == "client_gone"
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_leaving_a_stream_early_closes_the_connection(client, upstream):
    upstream.default(Behaviour(fault=Hang(at="event", after_events=1)))

    async with (
        posted(client, chat(upstream), STREAMED) as response,
        aclosing(response.chunks()) as chunks,
    ):
        await anext(chunks)

    async with asyncio.timeout(BOUND_SECONDS):
        assert (await upstream.ending()).outcome == "client_gone"


@pytest.mark.parametrize("body", [PLAIN, STREAMED], ids=["plain", "streamed"])
async def test_a_large_answer_arrives_whole(client, upstream, body):
    upstream.default(Behaviour(text_bytes=20 * MIB))

    status, answer = await plain(client, chat(upstream), body)

    assert status == 200
    assert len(answer) > 20 * MIB


async def test_a_large_request_arrives_whole(client, upstream):
    body = b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % (b"x" * 20 * MIB)

    await plain(client, chat(upstream), body)

    assert upstream.requests[0].raw_body == body


@pytest.mark.parametrize("body", [PLAIN, STREAMED], ids=["known length", "unknown length"])
async def test_an_answer_over_the_bound_is_given_up(client, upstream, body):
    upstream.default(Behaviour(text_bytes=4 * MIB))

    with pytest.raises(AnswerTooLargeError):
        await plain(client, chat(upstream), body, limit_bytes=2 * MIB)


async def test_a_bomb_of_compressed_data_is_given_up(client):
    body = gzip.compress(b"\0" * 4 * MIB)

    async with raw_server(answering(gzipped(body))) as url:
        with pytest.raises(AnswerTooLargeError):
            await plain(client, url, limit_bytes=2 * MIB)


async def test_compressed_answers_are_uncompressed(client):
    async with raw_server(answering(gzipped(gzip.compress(b'{"ok":true}')))) as url:
        status, body = await plain(client, url)

    assert (status, body) == (200, b'{"ok":true}')


async def test_a_broken_compression_is_a_broken_connection(client):
    async with raw_server(answering(gzipped(b"this was never compressed"))) as url:
        with pytest.raises(BrokenConnectionError):
            await plain(client, url)


async def test_a_header_that_is_no_text_does_no_harm(client):
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: \xff\xfe\r\n\r\nok"

    async with raw_server(answering(answer)) as url, posted(client, url) as response:
        response.header("x-request-id")
        assert await response.read(MIB) == b"ok"


async def test_redirects_are_not_followed(client, upstream):
    answer = (
        b"HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\nlocation: %b\r\n\r\n"
        % chat(upstream).encode()
    )

    async with raw_server(answering(answer)) as url:
        status, _ = await plain(client, url)

    assert status == 307
    assert not upstream.requests


def gzipped(body):
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    return head + body


class full_backlog:  # noqa: N801 - reads as a function
    """An address that takes no more connections and refuses none: they wait until they give up."""

    def __enter__(self):
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self._waiting = []
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(self._listener.getsockname())
            self._waiting.append(waiting)
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __exit__(self, *_):
        for opened in [*self._waiting, self._listener]:
            opened.close()
