"""Answers that are kept, through a whole gateway: what clients see, and what its faults change."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateway_process import Gateway, running_gateway
from mesh.shared_gateways import PATIENT
from plain_http import TRUSTS_NOBODY
from upstream import RemoteUpstream
from upstream.embeddings import DIMENSIONS, vector

from meshgate.dialects.openai_chat import grammar

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 30
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module", params=[[], ["--compact"]], ids=["mesh", "compact"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream_origin: str
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("cache-gateway")
    with running_gateway(directory, upstream_origin, *request.param, variables=PATIENT) as gateway:
        yield gateway


def asking(text: str, **members: Any) -> dict[str, Any]:
    return {"model": "cached", "messages": [{"role": "user", "content": text}], **members}


def word(answer: httpx.Response) -> str | None:
    assert answer.status_code == 200, answer.text
    return answer.headers.get("x-meshgate-cache")


async def test_an_answer_is_given_again_plain_and_streamed(
    gateway: Gateway, upstream: RemoteUpstream
) -> None:
    async with gateway.client() as client:
        first = await client.post(CHAT, json=asking("again"))
        plain = await client.post(CHAT, json=asking("again", stream=False))
        stream = await client.post(CHAT, json=asking("again", stream=True))

    assert [word(each) for each in (first, plain, stream)] == ["miss", "hit", "hit"]
    assert plain.json() == first.json()
    assert plain.headers["x-meshgate-attempts"] == "0"
    assert stream.headers["content-type"].startswith("text/event-stream")
    grammar.check(stream.content)
    assert len(await upstream.requests()) == 1


async def test_a_stream_is_given_again_as_a_plain_answer(gateway: Gateway) -> None:
    async with gateway.client() as client:
        stream = await client.post(CHAT, json=asking("streamed first", stream=True))
        plain = await client.post(CHAT, json=asking("streamed first"))

    assert [word(each) for each in (stream, plain)] == ["miss", "hit"]
    told = "".join(
        choice["delta"].get("content") or ""
        for line in stream.text.splitlines()
        if line.startswith("data: {")
        for choice in json.loads(line.removeprefix("data: "))["choices"]
    )
    assert told
    assert plain.json()["choices"][0]["message"]["content"] == told


async def test_the_header_cache_control_comes_through_envoy(gateway: Gateway) -> None:
    async with gateway.client() as client:
        await client.post(CHAT, json=asking("fresh"))

        fresh = await client.post(CHAT, json=asking("fresh"), headers={"cache-control": "no-cache"})

    assert word(fresh) == "bypass"


async def test_a_crowd_goes_upstream_once(gateway: Gateway, upstream: RemoteUpstream) -> None:
    async with gateway.client() as client:
        answers = await asyncio.gather(
            *[client.post(CHAT, json=asking("crowd")) for _ in range(20)]
        )

    assert sorted(map(str, map(word, answers))) == ["hit"] * 19 + ["miss"]
    assert len(await upstream.requests()) == 1


async def test_of_a_list_of_texts_only_the_new_ones_go_upstream(
    gateway: Gateway, upstream: RemoteUpstream
) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY) as http:
        client = openai.AsyncOpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=gateway.key, http_client=http, max_retries=0
        )
        await client.embeddings.create(model="cached-embeddings", input=["red", "green", "blue"])

        mixed = await client.embeddings.create(
            model="cached-embeddings", input=["blue", "violet", "red"]
        )

    texts = ["blue", "violet", "red"]
    assert [item.index for item in mixed.data] == [0, 1, 2]
    assert [item.embedding for item in mixed.data] == [vector(text, DIMENSIONS) for text in texts]
    requests = await upstream.requests()
    assert [request.body["input"] for request in requests] == [["red", "green", "blue"], ["violet"]]


async def test_without_its_redis_requests_go_on_and_hits_come_back(gateway: Gateway) -> None:
    ready = gateway.directory / "ready.json"
    killed = json.loads(ready.read_text())["pids"]["cache_redis"]
    async with gateway.client() as client:
        await client.post(CHAT, json=asking("lost"))

        os.kill(killed, signal.SIGKILL)
        during = [await client.post(CHAT, json=asking(f"during {n}")) for n in range(5)]
        async with asyncio.timeout(BOUND_SECONDS):
            while json.loads(Path(ready).read_text())["pids"]["cache_redis"] == killed:
                await asyncio.sleep(0.02)
            while word(await client.post(CHAT, json=asking("found again"))) != "hit":
                await asyncio.sleep(0.02)

    assert {word(each) for each in during} == {"miss"}


async def test_without_its_service_requests_go_on(gateway: Gateway) -> None:
    if gateway.mode == "compact":
        pytest.skip("the service is where all others are")
    [service] = json.loads((gateway.directory / "ready.json").read_text())["pids"]["cache"]
    async with gateway.client() as client:
        os.kill(service, signal.SIGKILL)
        during = [await client.post(CHAT, json=asking(f"alone {n}")) for n in range(5)]
        ready = await client.get("/readyz")
        async with asyncio.timeout(BOUND_SECONDS):
            while word(await client.post(CHAT, json=asking("back again"))) != "hit":
                await asyncio.sleep(0.02)

    assert {word(each) for each in during} == {"miss"}
    assert ready.status_code == 200


async def test_while_its_service_hangs_requests_go_on(gateway: Gateway) -> None:
    if gateway.mode == "compact":
        pytest.skip("the service is where all others are")
    [service] = json.loads((gateway.directory / "ready.json").read_text())["pids"]["cache"]
    async with gateway.client() as client:
        os.kill(service, signal.SIGSTOP)
        try:
            during = [await client.post(CHAT, json=asking(f"silence {n}")) for n in range(5)]
        finally:
            os.kill(service, signal.SIGCONT)
        async with asyncio.timeout(BOUND_SECONDS):
            while word(await client.post(CHAT, json=asking("awake again"))) != "hit":
                await asyncio.sleep(0.02)

    assert {word(each) for each in during} == {"miss"}
