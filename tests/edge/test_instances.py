"""Which instances of routing get requests, and what clients see when one dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import httpx
import pytest
from edge.scripted_routing import body, scripted_routing
from envoy_process import edge_settings, free_port, running_envoy
from plain_http import TRUSTS_NOBODY

from meshgate.edge.rendering import Address

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOUND_SECONDS = 20


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED],
)
async def test_an_instance_that_answers_with_errors_stays(rest, edge, script, code):
    async def refuse(request, context):
        await context.abort(code, "the upstream is down")
        yield

    script.on("ChatCompletions", refuse)

    for _ in range(20):
        await rest.post("/v1/chat/completions", json={})

    assert await edge.stat("cluster.routing.membership_healthy") == 2
    assert await edge.stat("cluster.routing.outlier_detection.ejections_enforced_total") == 0


async def test_what_a_service_answered_is_not_retried(rest, script):
    async def refuse(request, context):
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no")
        yield

    script.on("ChatCompletions", refuse)

    await rest.post("/v1/chat/completions", json={})

    assert script.calls == ["ChatCompletions"]


async def test_a_dead_instance_is_passed_over_from_the_start():
    async def answer(request, context):
        return body(b"{}")

    async with scripted_routing() as server:
        server.script.on("ListModels", answer)
        addresses = [server.addresses[0], Address("127.0.0.1", free_port())]

        async with (
            running_envoy(edge_settings(addresses)) as edge,
            httpx.AsyncClient(base_url=edge.base_url, verify=TRUSTS_NOBODY) as client,
        ):
            statuses = {(await client.get("/v1/models")).status_code for _ in range(10)}

    assert statuses == {200}


class Lifeline:
    """Passes bytes to a server until it is cut, as when the server's process is killed."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Address]:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        async with server:
            yield Address("127.0.0.1", server.sockets[0].getsockname()[1])
            self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target.host, self._target.port)
        self._writers += [writer, back]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pass(reader, back))
            tasks.create_task(self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
        except ConnectionError:
            pass
        writer.close()


@asynccontextmanager
async def edge_on_a_lifeline(routing) -> AsyncIterator[tuple[httpx.AsyncClient, Lifeline]]:
    lifeline = Lifeline(routing.addresses[0])
    async with (
        lifeline.connected() as address,
        running_envoy(edge_settings([address])) as edge,
        httpx.AsyncClient(base_url=edge.base_url, verify=TRUSTS_NOBODY) as client,
    ):
        yield client, lifeline


async def test_a_service_that_dies_before_it_answers_is_503(routing, script):
    called = asyncio.Event()

    async def hang(request, context):
        called.set()
        await asyncio.Event().wait()
        yield

    script.on("ChatCompletions", hang)

    async with edge_on_a_lifeline(routing) as (client, lifeline):
        call = asyncio.create_task(client.post("/v1/chat/completions", json={}))
        await asyncio.wait_for(called.wait(), BOUND_SECONDS)
        lifeline.cut()
        answer = await call

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "service_unavailable"
    assert script.calls == ["ChatCompletions"]


async def test_a_stream_whose_service_dies_does_not_look_whole(routing, script):
    async def begin(request, context):
        yield body(b"data: 1\n\n", "text/event-stream")
        await asyncio.Event().wait()

    script.on("ChatCompletions", begin)

    async with (
        edge_on_a_lifeline(routing) as (client, lifeline),
        client.stream("POST", "/v1/chat/completions", json={}) as response,
    ):
        chunks = response.aiter_bytes()
        assert await anext(chunks) == b"data: 1\n\n"
        lifeline.cut()
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(chunks)
