"""Each fault does on the wire what its name says."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from plain_http import TRUSTS_NOBODY
from upstream import (
    Behaviour,
    Close,
    Cut,
    Endless,
    ErrorEvent,
    FakeUpstream,
    Framing,
    Hang,
    Lie,
    Refuse,
    SlowHead,
)
from upstream.behaviours import Fault

ASK: Any = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
STREAM = ASK | {"stream": True}
PATH = "/chat/completions"


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
async def client(upstream: FakeUpstream) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=upstream.base_url, trust_env=False, timeout=10, verify=TRUSTS_NOBODY
    ) as client:
        yield client


async def read(
    client: httpx.AsyncClient, body: Any = STREAM
) -> tuple[bytes, type[Exception] | None]:
    """What of an answer came, and how it broke."""
    seen = b""
    try:
        async with client.stream("POST", PATH, json=body) as answer:
            async for piece in answer.aiter_raw():
                seen += piece
    except httpx.HTTPError as error:
        return seen, type(error)
    return seen, None


def events(seen: bytes) -> list[str]:
    return [line[6:] for line in seen.decode().split("\n") if line.startswith("data: ")]


@pytest.mark.parametrize("sent", [0, 1, 3, 7])
@pytest.mark.parametrize(
    ("by", "error"), [("eof", httpx.RemoteProtocolError), ("reset", httpx.ReadError), ("end", None)]
)
async def test_a_stream_is_cut_after_so_many_events(
    upstream: FakeUpstream, client: httpx.AsyncClient, by: Any, error: Any, sent: int
) -> None:
    upstream.default(Behaviour(fault=Cut(after_events=sent, by=by)))

    seen, raised = await read(client)

    assert len(events(seen)) == sent
    assert raised is error
    assert (await upstream.ending()).outcome == "broken_off"
    assert upstream.requests[0].events_sent == sent


@pytest.mark.parametrize(
    ("by", "error"), [("eof", httpx.RemoteProtocolError), ("reset", httpx.ReadError), ("end", None)]
)
async def test_a_plain_answer_is_cut_in_the_middle(
    upstream: FakeUpstream, client: httpx.AsyncClient, by: Any, error: Any
) -> None:
    upstream.default(Behaviour(fault=Cut(by=by)))

    seen, raised = await read(client, ASK)

    assert seen.startswith(b'{\n  "id"')
    assert not seen.endswith(b"}")
    assert raised is error


@pytest.mark.parametrize(
    ("by", "error"), [("eof", httpx.RemoteProtocolError), ("reset", httpx.ReadError)]
)
@pytest.mark.parametrize("body", [ASK, STREAM])
async def test_a_connection_is_closed_without_answer(
    upstream: FakeUpstream, client: httpx.AsyncClient, by: Any, error: Any, body: Any
) -> None:
    upstream.default(Behaviour(fault=Close(by)))

    assert await read(client, body) == (b"", error)


@pytest.mark.parametrize(
    ("fault", "seen_events"), [(Hang("head"), 0), (Hang("body"), 0), (Hang("event", 2), 2)]
)
async def test_a_hanging_upstream_notices_that_the_client_left(
    upstream: FakeUpstream, client: httpx.AsyncClient, fault: Fault, seen_events: int
) -> None:
    upstream.default(Behaviour(fault=fault))
    reading = asyncio.create_task(read(client))
    request = await upstream.events(0, seen_events)

    reading.cancel()
    await asyncio.wait([reading])

    await upstream.ending()
    assert request.outcome == "client_gone"
    assert request.events_sent == seen_events


@pytest.mark.parametrize("sent", [0, 2])
async def test_an_error_event_ends_a_stream(upstream: FakeUpstream, sent: int) -> None:
    upstream.default(Behaviour(fault=ErrorEvent(sent, message="broke", code="x")))

    async with openai.AsyncOpenAI(base_url=upstream.base_url, api_key="k") as client:
        stream = await client.chat.completions.create(**STREAM)
        seen = [await anext(stream) for _ in range(sent)]
        with pytest.raises(openai.APIError, match="broke") as caught:
            await anext(stream)

    assert len(seen) == sent
    assert caught.value.code == "x"


async def test_an_endless_stream_goes_on_until_the_client_leaves(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    upstream.default(Behaviour(fault=Endless()))

    async with client.stream("POST", PATH, json=STREAM) as answer:
        pieces = answer.aiter_raw()
        seen = b"".join([await anext(pieces) for _ in range(50)])

    assert len(events(seen)) >= 50
    assert (await upstream.ending()).outcome == "client_gone"


async def test_a_stalled_reader_stops_an_endless_stream(upstream: FakeUpstream) -> None:
    upstream.default(Behaviour(text="x" * 10_000, fault=Endless()))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(upstream.origin.split(":")[2]))
    body = json.dumps(STREAM).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
    writer.write(head + body)

    request = await upstream.stall()
    sent = request.bytes_sent
    writer.close()

    assert sent < 50_000_000
    assert (await upstream.ending()).outcome == "client_gone"
    assert reader.at_eof() is False


@pytest.mark.parametrize(
    ("refuse", "media_type", "start"),
    [
        (Refuse(502, "html"), "text/html", "<html>"),
        (Refuse(503, "text", "overloaded"), "text/plain", "overloaded"),
        (Refuse(500, "empty"), "text/plain", ""),
        (Refuse(429, retry_after="7"), "application/json", '{\n  "error": {'),
    ],
)
async def test_a_refusal_has_the_body_and_headers_asked_for(
    upstream: FakeUpstream, client: httpx.AsyncClient, refuse: Refuse, media_type: str, start: str
) -> None:
    upstream.default(Behaviour(fault=refuse, headers={"x-own": "1"}))

    answer = await client.post(PATH, json=ASK)

    assert answer.status_code == refuse.status
    assert answer.headers["content-type"] == media_type
    assert answer.headers.get("retry-after") == refuse.retry_after
    assert answer.headers["x-own"] == "1"
    assert answer.text.startswith(start)


@pytest.mark.parametrize(
    ("kind", "start", "whole"),
    [
        ("error_json", b'{"error":', True),
        ("html", b"<html>", True),
        ("empty", b"", True),
        ("stream_for_plain", b"data: {", True),
        ("content_length_too_long", b"{", False),
        ("content_length_too_short", b"{", True),
        ("truncated_json", b"{", True),
        ("invalid_json", b'{\n  "id"=', True),
        ("invalid_utf8", b"{", True),
    ],
)
async def test_a_lie_is_a_200_that_is_no_completion(
    upstream: FakeUpstream, client: httpx.AsyncClient, kind: Any, start: bytes, whole: bool
) -> None:
    upstream.default(Behaviour(fault=Lie(kind)))

    seen, raised = await read(client, ASK)

    assert seen.startswith(start)
    assert (raised is None) is whole
    if whole:
        with pytest.raises((ValueError, KeyError)):
            json.loads(seen)["choices"]


@pytest.mark.parametrize("kind", ["truncated_json", "invalid_json", "invalid_utf8"])
async def test_a_lie_spoils_the_second_event_of_a_stream(
    upstream: FakeUpstream, client: httpx.AsyncClient, kind: Any
) -> None:
    upstream.default(Behaviour(fault=Lie(kind)))

    seen, raised = await read(client)

    assert raised is None
    lines = [line[6:] for line in seen.split(b"\n") if line.startswith(b"data: ")]
    json.loads(lines[0])
    json.loads(lines[2])
    with pytest.raises(ValueError, match=r"."):
        json.loads(lines[1])


@pytest.mark.parametrize(
    ("kind", "start"), [("json_for_stream", b"{\n"), ("html", b"<html>"), ("error_json", b'{"err')]
)
async def test_a_stream_request_gets_something_else(
    upstream: FakeUpstream, client: httpx.AsyncClient, kind: Any, start: bytes
) -> None:
    upstream.default(Behaviour(fault=Lie(kind)))

    answer = await client.post(PATH, json=STREAM)

    assert answer.status_code == 200
    assert answer.headers["content-type"] in ("application/json", "text/html")
    assert answer.content.startswith(start)


@pytest.mark.parametrize(
    "framing",
    [
        Framing(newline="\r\n"),
        Framing(newline="\r"),
        Framing(comments="before_events"),
        Framing(split_bytes=1),
        Framing(split_bytes=7, newline="\r\n", comments="before_events"),
        Framing(events_per_write=3),
        Framing(done="missing"),
    ],
)
async def test_an_odd_framing_says_the_same(upstream: FakeUpstream, framing: Framing) -> None:
    upstream.default(Behaviour(framing=framing))

    async with openai.AsyncOpenAI(base_url=upstream.base_url, api_key="k") as client:
        stream = await client.chat.completions.create(**STREAM)
        text = "".join([event.choices[0].delta.content or "" async for event in stream])

    assert text == "The quick brown fox jumps over the lazy dog."


async def test_a_framing_is_seen_on_the_wire(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    framing = Framing(start="bom", comments="before_events", newline="\r\n", done="missing")
    upstream.default(Behaviour(framing=framing))

    seen, _ = await read(client)

    assert seen.startswith(b"\xef\xbb\xbf: keep-alive\r\n\r\ndata: {")
    assert seen.endswith(b"}\r\n\r\n")
    assert b"[DONE]" not in seen


async def test_usage_can_be_kept_back(upstream: FakeUpstream, client: httpx.AsyncClient) -> None:
    upstream.default(Behaviour(usage_sent="never"))
    asked = STREAM | {"stream_options": {"include_usage": True}}

    plain = await client.post(PATH, json=ASK)
    seen, _ = await read(client, asked)

    assert "usage" not in plain.json()
    assert all(json.loads(event)["usage"] is None for event in events(seen)[:-1])


async def test_huge_answers_and_events_come_whole(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    upstream.default(Behaviour(text_bytes=5_000_000, chunks=1))

    plain = await client.post(PATH, json=ASK)
    seen, raised = await read(client)

    assert len(plain.json()["choices"][0]["message"]["content"]) == 5_000_000
    assert raised is None
    assert max(len(event) for event in events(seen)) > 5_000_000


async def test_a_slow_head_is_a_whole_head(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    upstream.default(Behaviour(fault=SlowHead(interval_seconds=0.0001)))

    answer = await client.post(PATH, json=ASK)

    assert answer.json()["choices"][0]["finish_reason"] == "stop"
