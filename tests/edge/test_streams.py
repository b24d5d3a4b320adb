"""Streams: each chunk at once, the end told both ways, nobody held up by others."""

import asyncio
import socket

import grpc
import pytest
from edge.scripted_routing import MIB, body, fail
from envoy_process import RunningEnvoy

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOUND_SECONDS = 20
CHAT = "/v1/chat/completions"
SSE = "text/event-stream"


async def test_a_chunk_arrives_before_the_next_is_made(rest, script):
    first_was_read = asyncio.Event()

    async def answer(request, context):
        yield body(b"data: 1\n\n", SSE)
        await first_was_read.wait()
        yield body(b"data: 2\n\n", SSE)

    script.on("ChatCompletions", answer)
    chunks = []

    async with asyncio.timeout(10), rest.stream("POST", CHAT, json={}) as response:
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            first_was_read.set()

    assert chunks == [b"data: 1\n\n", b"data: 2\n\n"]


async def test_the_service_is_cancelled_when_a_reader_leaves(rest, script):
    cancelled = asyncio.Event()

    async def answer(request, context):
        try:
            yield body(b"data: 1\n\n", SSE)
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    script.on("ChatCompletions", answer)

    async with rest.stream("POST", CHAT, json={}) as response:
        await anext(response.aiter_bytes())

    await asyncio.wait_for(cancelled.wait(), BOUND_SECONDS)


async def test_the_service_is_cancelled_when_a_waiting_client_leaves(edge, script):
    called, cancelled = asyncio.Event(), asyncio.Event()

    async def answer(request, context):
        called.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        yield

    script.on("ChatCompletions", answer)
    _, writer = await open_chat(edge)
    await asyncio.wait_for(called.wait(), BOUND_SECONDS)

    writer.close()

    await asyncio.wait_for(cancelled.wait(), BOUND_SECONDS)


async def test_a_failure_after_an_error_event_ends_the_body(rest, script):
    async def answer(request, context):
        yield body(b"data: 1\n\n", SSE)
        yield body(b'data: {"error":{}}\n\n', SSE)
        await fail(
            context, grpc.StatusCode.UNAVAILABLE, "cut", http_status=502, error={"error": {}}
        )

    script.on("ChatCompletions", answer)

    answer = await rest.post(CHAT, json={})

    assert answer.status_code == 200
    assert answer.content == b'data: 1\n\ndata: {"error":{}}\n\n'


async def test_stalled_readers_do_not_hold_up_others(rest, edge, script):
    sent: dict[str, int] = {}
    chunk = body(b"x" * 64 * 1024, "application/octet-stream")

    async def answer(request, context):
        name = request.data.decode()
        for _ in range(64):
            yield chunk
            sent[name] = sent.get(name, 0) + len(chunk.data)

    script.on("ChatCompletions", answer)
    # With one connection to each of two instances, the fast reader meets stalled ones anyway.
    stalled = [await open_chat(edge, f"stalled-{number}".encode()) for number in range(6)]
    await until(lambda: len(sent) == 6 and min(sent.values()) > 512 * 1024)

    fast = await asyncio.wait_for(rest.post(CHAT, content=b"fast"), BOUND_SECONDS)

    assert len(fast.content) == 4 * MIB
    for _, writer in stalled:
        writer.close()


async def open_chat(
    edge: RunningEnvoy, content: bytes = b"{}"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that has asked and reads nothing, with as small a buffer as there is."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    target = (edge.settings.listen.host, edge.settings.listen.port)
    await asyncio.get_running_loop().sock_connect(connection, target)
    reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: edge\r\ncontent-length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    await writer.drain()
    return reader, writer


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
