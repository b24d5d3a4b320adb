"""Answers that are kept, of models that are guarded: what is kept, and for whom."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from gateway_process import Gateway
from mesh.sensitive import BOUND_SECONDS, CHAT, EMAIL, SECRET, asking, content, kept, said
from mesh.shared_gateways import MESH_AND_COMPACT
from upstream import Behaviour, RemoteUpstream

pytestmark = [pytest.mark.mesh, MESH_AND_COMPACT]


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


async def test_what_is_kept_is_what_the_caller_saw(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("kept", Behaviour(text=f"Ask {EMAIL}."))
    await upstream.script("streamed", Behaviour(text=f"Ask {EMAIL}!", chunks=9))

    plain = await client.post(CHAT, json=asking("kept", "guarded-cached"))
    again = await client.post(CHAT, json=asking("kept", "guarded-cached", stream=True))
    stream = await client.post(CHAT, json=asking("streamed", "guarded-cached", stream=True))
    after = await client.post(CHAT, json=asking("streamed", "guarded-cached"))

    words = [each.headers["x-meshgate-cache"] for each in (plain, again, stream, after)]
    assert words == ["miss", "hit", "miss", "hit"]
    assert content(plain) == said(again)[0] == "Ask [EMAIL]."
    assert said(stream)[0] == content(after) == "Ask [EMAIL]!"
    assert b"[EMAIL]" in kept(gateway)
    assert EMAIL.encode() not in kept(gateway)


async def test_requests_that_differ_only_in_what_is_masked_share_an_answer(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    first = await client.post(CHAT, json=asking(f"shared by {EMAIL}", "guarded-cached"))
    other = await client.post(CHAT, json=asking("shared by a@b.co", "guarded-cached"))

    assert content(other) == content(first)
    assert other.headers["x-meshgate-cache"] == "hit"
    assert len(await upstream.requests()) == 1


async def test_what_is_blocked_is_not_kept(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("never", Behaviour(text=f"It is {SECRET}."))
    answers = [
        await client.post(CHAT, json=asking("never", "guarded-cached", stream=stream))
        for stream in (False, False, True, True)
    ]

    assert {each.headers["x-meshgate-cache"] for each in answers} == {"miss"}
    assert len(await upstream.requests()) == 4


async def test_a_blocked_request_is_not_answered_from_what_is_kept(
    client: httpx.AsyncClient,
) -> None:
    body = asking(f"kept? {SECRET}", "guarded-cached")

    assert [(await client.post(CHAT, json=body)).status_code for _ in range(2)] == [400, 400]


async def test_a_policy_that_changes_is_a_miss_and_fails_nobody(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("colour", Behaviour(text="The bluebird sings."))
    body = asking("which colour?", "guarded-cached")
    await client.post(CHAT, json=body)
    before = await client.post(CHAT, json=body)
    written = gateway.configuration.read_text()
    rule = "output: [{action: mask, phrases: [bluebird]}, "
    gateway.configuration.write_text(written.replace("output: [", rule))
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            while content(changed := await client.post(CHAT, json=body)) == content(before):
                assert changed.headers["x-meshgate-cache"] == "hit"
                await asyncio.sleep(0.02)
        after = await client.post(CHAT, json=body)
    finally:
        gateway.configuration.write_text(written)

    assert before.headers["x-meshgate-cache"] == "hit"
    assert changed.headers["x-meshgate-cache"] == "miss"
    assert content(changed) == content(after) == "The [PHRASE] sings."
    assert after.headers["x-meshgate-cache"] == "hit"
