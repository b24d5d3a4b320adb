"""Who is told to do what, and what is known afterwards."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from plain_http import TRUSTS_NOBODY
from upstream import (
    Behaviour,
    Cut,
    FakeUpstream,
    Gate,
    Match,
    Refuse,
    RemoteUpstream,
    directive,
)

PATH = "/chat/completions"
TESTS = Path(__file__).parents[1]


def ask(text: str, **more: Any) -> Any:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


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


async def test_a_record_holds_what_arrived(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    body = b'{"model" : "m", "messages":[{"role":"user","content":"x"}], "new_field": [1]}'

    await client.post(PATH + "?a=b", content=body, headers={"X-Own": "1"})
    await client.post(PATH, content=body)

    first, second = upstream.requests
    assert (first.method, first.path) == ("POST", "/v1/chat/completions?a=b")
    assert first.header("x-own") == "1"
    assert second.raw_body == body
    assert second.body["new_field"] == [1]
    assert [first.number, second.number] == [0, 1]
    assert first.connection == second.connection
    assert second.outcome == "answered"
    assert second.stalls == 0


async def test_a_chunked_request_body_is_read(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"model": "m", '
        yield b'"messages": [{"role": "user", "content": "x"}]}'

    answer = await client.post(PATH, content=body())

    assert answer.status_code == 200
    assert upstream.requests[0].header("transfer-encoding") == "chunked"


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(
    upstream: FakeUpstream,
) -> None:
    body = json.dumps(ask("x")).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(upstream.origin.split(":")[2]))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\n"
    writer.write(head + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body))

    leave = await reader.readuntil(b"\r\n\r\n")
    writer.write(body)
    answer = await reader.read()
    writer.close()

    assert leave == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "sent", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", b"x" * 3_000_000]
)
async def test_what_is_not_http_is_refused(upstream: FakeUpstream, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(upstream.origin.split(":")[2]))

    writer.write(sent)
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert upstream.requests == []


async def test_an_echo_holds_what_arrived(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    upstream.default(Behaviour(says="echo"))

    answer = await client.post(PATH, json=ask("hello", user="me"))

    said = answer.json()["choices"][0]["message"]["content"]
    assert '"path":"/v1/chat/completions"' in said
    assert '"user":"me"' in said


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        (Match(), True),
        (Match(text="ell"), True),
        (Match(text="other"), False),
        (Match(model="m"), True),
        (Match(model="n"), False),
        (Match(path="/completions"), True),
        (Match(path="/embeddings"), False),
        (Match(header=("x-tenant", "a")), True),
        (Match(header=("x-tenant", "b")), False),
        (Match(form="plain"), True),
        (Match(form="streamed"), False),
    ],
)
async def test_a_script_is_for_those_that_match(
    upstream: FakeUpstream, client: httpx.AsyncClient, match: Match, hit: bool
) -> None:
    upstream.script(match, Behaviour(fault=Refuse(418)))

    answer = await client.post(PATH, json=ask("hello"), headers={"x-tenant": "a"})

    assert answer.status_code == (418 if hit else 200)


async def test_scripts_are_used_up_in_order(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    upstream.script("", Behaviour(fault=Refuse(429)), times=2)
    upstream.script("", Behaviour(fault=Refuse(500)), times=1)

    statuses = [(await client.post(PATH, json=ask("x"))).status_code for _ in range(4)]

    assert statuses == [429, 429, 500, 200]


async def test_a_directive_in_the_prompt_decides(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    refuse = directive(Behaviour(fault=Refuse(503)), match=Match(model="m"), times=1)
    parts = [{"type": "text", "text": f"please {refuse}"}]
    asked = {"model": "m", "messages": [{"role": "user", "content": parts}]}

    first = await client.post(PATH, json=asked)
    second = await client.post(PATH, json=asked)
    other = await client.post(PATH, json=asked | {"model": "n"})

    assert [first.status_code, second.status_code, other.status_code] == [503, 200, 200]


async def test_a_misspelt_directive_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json=ask('<<upstream {"behaviour": {"colour": 1}}>>'))

    assert answer.status_code == 400
    assert "colour" in answer.json()["error"]["message"]


async def test_a_gate_holds_each_step_back(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    gate = Gate()
    upstream.script("", Behaviour(), gate=gate)

    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(client.post(PATH, json=ask("x", stream=True)))
        await gate.reached(0)
        request = upstream.requests[0]
        gate.let(3)
        await gate.reached(3)
        held = request.events_sent
        gate.open()
    answer = asked.result()

    assert held == 2
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_client_that_leaves_before_a_gate_is_noticed(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    gate = Gate()
    upstream.script("", Behaviour(), gate=gate)
    asked = asyncio.create_task(client.post(PATH, json=ask("x")))
    await gate.reached(0)

    asked.cancel()

    assert (await upstream.ending(0)).outcome == "client_gone"


async def test_a_reset_forgets_requests_and_scripts(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    upstream.script("", Behaviour(fault=Refuse(500)))
    await client.post(PATH, json=ask("x"))

    upstream.reset()
    answer = await client.post(PATH, json=ask("x"))

    assert answer.status_code == 200
    assert [request.number for request in upstream.requests] == [0]


async def test_stopping_ends_open_answers() -> None:
    async with httpx.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY) as client:
        async with FakeUpstream() as upstream:
            upstream.script("", Behaviour(), gate=Gate())
            asked = asyncio.create_task(client.post(upstream.base_url + PATH, json=ask("x")))
            await upstream.arrival()

        with pytest.raises(httpx.RemoteProtocolError):
            await asked


@pytest.fixture
async def remote() -> AsyncIterator[RemoteUpstream]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "upstream", "--port", "0"),
        cwd=TESTS,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    base_url = (await process.stdout.readline()).decode().strip()
    async with RemoteUpstream(base_url.removesuffix("/v1")) as remote:
        yield remote
    process.terminate()
    assert await process.wait() == 0


async def test_a_process_is_scripted_and_asked_over_http(remote: RemoteUpstream) -> None:
    await remote.script("hello", Behaviour(fault=Cut(after_events=2)), times=1)

    async with httpx.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(remote.base_url + PATH, json=ask("hello", stream=True))
        await client.post(remote.base_url + PATH, json=ask("hello"))
    cut, answered = await remote.ending(0), await remote.ending(1)
    known = await remote.requests()
    await remote.reset()

    assert (cut.outcome, cut.events_sent) == ("broken_off", 2)
    assert answered.outcome == "answered"
    assert b'"hello"' in answered.raw_body
    assert known == [cut, answered]
    assert await remote.requests() == []
