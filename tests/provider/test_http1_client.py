"""What upstreams may say on a connection, to the client whose connections are our own."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provider.raw_server import answering, raw_server

from meshgate.provider.http1_client import Http1Client
from meshgate.provider.phases import PhaseClock, PhaseTimeouts
from meshgate.provider.upstream import BrokenConnectionError, ClientOptions

HEADERS = (("content-type", "application/json"),)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
async def client() -> AsyncIterator[Http1Client]:
    client = Http1Client(ClientOptions())
    yield client
    await client.close()


async def answer_of(client: Http1Client, url: str, headers=HEADERS) -> tuple[int, bytes]:
    clock = PhaseClock(PhaseTimeouts(total_seconds=10))
    try:
        async with client.post(url, headers, b"{}", clock) as response:
            return response.status, await response.read(1 << 20)
    finally:
        clock.close()


GOOD = {
    "a length": OK,
    "chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
    "the end of the connection": b"HTTP/1.1 200 OK\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nok",
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    "103 first": b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + OK,
}


@pytest.mark.parametrize("answer", GOOD.values(), ids=GOOD.keys())
async def test_a_body_may_be_framed_by(client: Http1Client, answer: bytes) -> None:
    async with raw_server(answering(answer)) as url:
        assert await answer_of(client, url) == (200, b"ok")


BAD = {
    "a short body": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
    "a cut chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok",
    "no last chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    "a chunk size that is none": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "only 100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"x-filler: 0123456789\r\n" * 5000,
    "an unknown coding": b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
async def test_a_broken_connection_is_told_of(client: Http1Client, answer: bytes) -> None:
    async with raw_server(answering(answer)) as url:
        with pytest.raises(BrokenConnectionError):
            await answer_of(client, url)


@pytest.mark.parametrize(
    "extra",
    [OK, b"HTTP/1.1 200 OK\r\nx-half: ", b"garbage"],
    ids=["an answer to nothing", "half an answer", "what is no answer"],
)
async def test_a_connection_that_says_more_than_it_was_asked_is_not_used_again(
    client: Http1Client, extra: bytes
) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + extra)
        await reader.read()
        writer.close()

    async with raw_server(serve) as url:
        for _ in range(3):
            with suppress(BrokenConnectionError):
                await answer_of(client, url)

    assert connections == 3


async def test_a_body_without_a_length_that_is_reset_is_broken(client: Http1Client) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        await writer.drain()
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()

    async with raw_server(serve) as url:
        with pytest.raises(BrokenConnectionError):
            await answer_of(client, url)


async def test_a_header_cannot_smuggle_another(client: Http1Client) -> None:
    async with raw_server(answering(OK)) as url:
        with pytest.raises(ValueError, match="line end"):
            await answer_of(client, url, (("x-a", "b\r\nx-c: d"),))


async def test_a_connection_that_the_upstream_closed_while_idle_is_not_used(
    client: Http1Client,
) -> None:
    async with raw_server(answering(OK)) as url:  # closes after each answer
        answers = []
        for _ in range(3):
            answers.append(await answer_of(client, url))
            async with asyncio.timeout(10):
                while any(idle.alive for them in client._idle.values() for _, idle in them):
                    await asyncio.sleep(0.001)

    assert answers == [(200, b"ok")] * 3


async def test_what_comes_on_an_idle_connection_does_not_pass_for_the_next_answer(
    client: Http1Client,
) -> None:
    said = asyncio.Event()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await said.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nst")
        await reader.read()
        writer.close()

    async with raw_server(serve) as url:
        first = await answer_of(client, url)
        said.set()
        async with asyncio.timeout(10):
            while any(idle.alive for them in client._idle.values() for _, idle in them):
                await asyncio.sleep(0.001)
        second = await answer_of(client, url)

    assert first == second == (200, b"ok")
    assert connections == 2


@given(data=st.binary(max_size=400))
def test_whatever_an_upstream_says_is_an_answer_or_a_broken_connection(data: bytes) -> None:
    async def ask() -> None:
        client = Http1Client(ClientOptions())
        async with raw_server(answering(b"HTTP/1.1 200 OK\r\n" + data)) as url:
            try:
                status, _ = await answer_of(client, url)
                assert status == 200
            except BrokenConnectionError:
                pass
            finally:
                await client.close()

    asyncio.run(ask())
