"""Streams that are cut anywhere, and streams that come compressed."""

import gzip

import pytest
from provider.attempts import attempt, streamed, streamed_chat
from provider.raw_server import answering, raw_server
from upstream import Behaviour, Cut

from meshgate.dialects.grammar import GrammarError
from meshgate.dialects.openai_chat import grammar
from meshgate.dialects.openai_choices.chunks import DONE

TEXT = "one two three"
EVENTS = 4  # the role, and a word each; then come the reason and the end
CHUNK = (
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}\n\n'
)
STREAM = CHUNK + CHUNK.replace(b"null}", b'"stop"}') + DONE
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n"


@pytest.mark.parametrize("by", ["end", "eof", "reset"])
@pytest.mark.parametrize("events", range(1, EVENTS + 1))
async def test_a_stream_that_is_cut_at_any_event_never_looks_whole(upstream, fake, events, by):
    fake.default(Behaviour(text=TEXT, fault=Cut(after_events=events, by=by)))

    stream = await streamed(upstream, attempt(streamed_chat()))

    assert stream.done is None
    assert stream.failure.kind.value == "connection"
    with pytest.raises(GrammarError):
        grammar.check(stream.body)


async def test_a_compressed_stream_is_uncompressed(make_upstream):
    async with raw_server(answering(HEAD + gzip.compress(STREAM))) as url:
        stream = await streamed(make_upstream(url), attempt(streamed_chat()))

    assert stream.failure is None
    assert stream.text() == "HiHi"


@pytest.mark.parametrize("missing_bytes", [9, 30, 60])
async def test_a_compressed_stream_that_is_cut_never_looks_whole(make_upstream, missing_bytes):
    body = gzip.compress(CHUNK + CHUNK)[:-missing_bytes]
    async with raw_server(answering(HEAD + body)) as url:
        stream = await streamed(make_upstream(url), attempt(streamed_chat()))

    assert stream.done is None
    assert stream.failure.kind.value in ("connection", "server_error")
    assert DONE not in stream.body
