"""What happens to users of models that are guarded when guardrails die or hang."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
from gateway_process import Gateway, running_gateway
from mesh.sensitive import (
    BOUND_SECONDS,
    CHAT,
    EMAIL,
    PROMPT,
    SECRET,
    asking,
    content,
    said,
    written_about,
)
from upstream import Behaviour, RemoteUpstream
from upstream.behaviours import DEFAULT_TEXT

pytestmark = pytest.mark.mesh


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream_origin: str) -> Iterator[Gateway]:
    """A mesh of its own: these tests break things."""
    directory = tmp_path_factory.mktemp("guarded-faults")
    with running_gateway(directory, upstream_origin) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that is well, before the test and after it."""
    async with gateway.client() as client:
        await recovered(client)
        yield client
        await recovered(client)


async def recovered(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while (answer := await client.post(CHAT, json=asking("well?"))).status_code != 200:
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.02)


def process(gateway: Gateway) -> int:
    """The process of guardrails, as it is now."""
    ready = json.loads((gateway.directory / "ready.json").read_text())
    [pid] = ready["pids"]["guardrails"]
    return int(pid)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_while_guardrails_hang_nothing_passes_but_where_the_policy_is_open(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.reset()
    text = f"I am {EMAIL}"
    with stopped(process(gateway)):
        closed, opened, unguarded = await asyncio.gather(
            *(
                client.post(CHAT, json=asking(text, model))
                for model in ("guarded", "guarded-open", "one-try")
            )
        )

    assert closed.status_code == 503
    assert int(closed.headers["retry-after"]) > 0
    assert closed.json()["error"]["code"] == "service_unavailable"
    assert content(opened) == content(unguarded) == DEFAULT_TEXT
    assert len(await upstream.requests()) == 2
    assert "guardrails do not answer" in gateway.logs()


async def test_without_guardrails_open_policies_serve_everybody_and_closed_ones_come_back(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    killed = process(gateway)
    os.kill(killed, signal.SIGKILL)

    opened = [await client.post(CHAT, json=asking("hello", "guarded-open")) for _ in range(5)]
    await recovered(client)
    await upstream.reset()
    after = await client.post(CHAT, json=asking(f"I am {EMAIL}"))

    assert {each.status_code for each in opened} == {200}
    assert process(gateway) != killed
    assert content(after) == DEFAULT_TEXT
    [request] = await upstream.requests()
    assert request.body["messages"][0]["content"] == f"{PROMPT}: I am [EMAIL]"


async def interrupted(gateway: Gateway, upstream: RemoteUpstream, model: str) -> list[str]:
    """The lines of a stream whose guardrails are killed once it has begun."""
    behaviour = Behaviour(text="word " * 40, chunks=40, event_delay_seconds=0.05)
    await upstream.script("slowly", behaviour)
    body = asking("slowly", model, stream=True)
    lines = []
    async with gateway.client() as client, client.stream("POST", CHAT, json=body) as stream:
        assert stream.status_code == 200
        async for line in stream.aiter_lines():
            lines.append(line)
            if sum("word" in each for each in lines) == 1 and "word" in line:
                os.kill(process(gateway), signal.SIGKILL)
    return [line for line in lines if line]


async def test_a_stream_whose_guardrails_die_ends_with_an_error(
    gateway: Gateway, upstream: RemoteUpstream
) -> None:
    lines = await interrupted(gateway, upstream, "guarded")

    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "service_unavailable"
    assert 0 < sum("word" in line for line in lines) < 40


async def test_where_the_policy_is_open_the_stream_goes_on(
    gateway: Gateway, upstream: RemoteUpstream
) -> None:
    lines = await interrupted(gateway, upstream, "guarded-open")

    text, ending = said(httpx.Response(200, text="\n".join(lines)))
    assert text == "word " * 40
    assert ending == "stop"


async def test_nothing_of_all_this_is_written_down(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("key", Behaviour(text=f"It is {SECRET}, surely"))
    bodies = [
        asking(f"the key? {EMAIL}", model, stream=stream)
        for model in ("guarded", "guarded-open")
        for stream in (False, True)
    ]
    with stopped(process(gateway)):
        answers = await asyncio.gather(*(client.post(CHAT, json=body) for body in bodies))

    assert [each.status_code for each in answers] == [503, 503, 200, 200]
    for text in (EMAIL, SECRET, SECRET[:12], PROMPT, "surely"):
        assert text not in written_about(gateway)
