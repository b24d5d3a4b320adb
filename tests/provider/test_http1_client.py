"""What upstreams may say on a connection, to the client whose connections are our own."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import given, settings
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


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"], ids=["CRLF", "CR", "LF"])
async def test_a_header_cannot_smuggle_another(client: Http1Client, end: str) -> None:
    async with raw_server(answering(OK)) as url:
        with pytest.raises(ValueError, match="line end"):
            await answer_of(client, url, (("x-a", f"b{end}x-c: d"),))


async def test_what_no_target_may_hold_is_escaped(client: Http1Client) -> None:
    seen: list[bytes] = []

    async with raw_server(answering(OK, seen)) as url:
        await answer_of(client, url + "a b/é/%20?q=1")

    assert seen[0].startswith(b"POST /a%20b/%C3%A9/%20?q=1 HTTP/1.1\r\n")


@pytest.mark.parametrize("headers", [(), HEADERS, (("Accept-Encoding", "gzip"),)])
async def test_no_compression_is_asked_for_unless_the_caller_does(
    client: Http1Client, headers: tuple[tuple[str, str], ...]
) -> None:
    seen: list[bytes] = []

    async with raw_server(answering(OK, seen)) as url:
        await answer_of(client, url, headers)

    wanted = b"gzip" if b"gzip" in seen[0] else b"identity"
    assert seen[0].lower().count(b"accept-encoding: %b\r\n" % wanted) == 1
    assert seen[0].lower().count(b"accept-encoding") == 1


async def test_an_upgrade_that_nobody_asked_for_is_a_broken_connection(
    client: Http1Client,
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, it: complaints.append(it))
    answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"

    async with raw_server(answering(answer)) as url:
        with pytest.raises(BrokenConnectionError):
            await answer_of(client, url)

    assert not complaints


async def test_a_connection_whose_answer_was_not_taken_is_not_used_again(
    client: Http1Client,
) -> None:
    # One byte over what is buffered: reading stops just as the answer is whole.
    size = 256 * 1024 + 1
    large = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
    answers = iter([large, OK])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n{}")
                writer.write(next(answers))
                await writer.drain()
        writer.close()

    async with raw_server(serve) as url:
        clock = PhaseClock(PhaseTimeouts(total_seconds=10))
        async with client.post(url, HEADERS, b"{}", clock) as response, asyncio.timeout(10):
            while not response._connection.complete:
                await asyncio.sleep(0.001)
        clock.close()

        assert await answer_of(client, url) == (200, b"ok")


async def test_an_answer_before_the_request_was_sent_leaves_no_connection(
    client: Http1Client,
) -> None:
    answered = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await answered.wait()
        writer.close()

    async with raw_server(serve) as url:
        clock = PhaseClock(PhaseTimeouts(total_seconds=10))
        async with client.post(url, HEADERS, b"x" * (20 << 20), clock) as response:
            assert (response.status, await response.read(1 << 20)) == (413, b"no")
        clock.close()
        answered.set()

        assert not any(client._idle.values())


async def test_connections_that_died_idle_are_let_go_though_another_is_used(
    client: Http1Client,
) -> None:
    connections = 0
    may_close = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        is_first = connections == 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n{}")
                writer.write(OK)
                if is_first:
                    await may_close.wait()
                    break
        writer.close()

    async with raw_server(serve) as url:
        clock = PhaseClock(PhaseTimeouts(total_seconds=10))
        async with AsyncExitStack() as later:
            dying = client.post(url, HEADERS, b"{}", clock)
            first = await dying.__aenter__()
            second = await later.enter_async_context(client.post(url, HEADERS, b"{}", clock))
            await first.read(2)
            await second.read(2)
            await dying.__aexit__(None, None, None)
        clock.close()
        may_close.set()
        async with asyncio.timeout(10):
            while first._connection.alive:
                await asyncio.sleep(0.001)
        await answer_of(client, url)

        assert [it for them in client._idle.values() for _, it in them] == [second._connection]


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


@settings(deadline=None)
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
