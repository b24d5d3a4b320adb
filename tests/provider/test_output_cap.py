"""The gateway's own bound on what is written reaches the upstream."""

import json

import pytest
from provider.attempts import attempt, chat, streamed, streamed_chat, typed_chat
from provider.configuration import Secrets, snapshot
from upstream import FakeUpstream

from meshgate.config.snapshot import DemoProvider, HttpProvider
from meshgate.dialects.neutral import FinishReason
from meshgate.provider.aiohttp_client import AiohttpClient
from meshgate.provider.demo import DemoUpstream
from meshgate.provider.upstreams import Upstreams
from meshgate.v1 import gateway_service_pb2

BOUNDS = [("openai", "max_completion_tokens"), ("openai-compatible", "max_tokens")]


@pytest.fixture
async def upstreams():
    found = Upstreams(Secrets(), AiohttpClient)
    yield found
    await found.close()


@pytest.mark.parametrize(("kind", "bound"), BOUNDS)
@pytest.mark.parametrize(
    ("body", "dialect"), [(chat(), "openai_chat"), (typed_chat(), "meshgate_chat")]
)
async def test_an_upstream_is_told_in_the_way_of_its_kind(upstreams, kind, bound, body, dialect):
    async with FakeUpstream() as fake:
        provider = HttpProvider("local", kind, fake.base_url)
        upstreams.follow(snapshot(provider))

        await upstreams.find("local").answer(attempt(body, dialect, output_cap=3))

        sent = fake.requests[0].body
    assert {name: sent.get(name) for name in ("max_tokens", "max_completion_tokens")} == {
        "max_tokens": None,
        "max_completion_tokens": None,
    } | {bound: 3}


async def test_a_stream_is_capped_like_a_plain_answer(upstream, fake):
    await streamed(upstream, attempt(streamed_chat(max_tokens=9), output_cap=3))

    assert fake.requests[0].body["max_tokens"] == 3


async def test_the_demo_provider_keeps_to_a_cap():
    demo = DemoUpstream(DemoProvider("demo"))

    plain = await demo.answer(attempt(chat(max_tokens=9), output_cap=3))
    typed = await demo.answer(attempt(typed_chat(), "meshgate_chat", output_cap=3))
    stream = await streamed(demo, attempt(streamed_chat(), output_cap=3))

    assert json.loads(plain.body)["usage"]["completion_tokens"] == 3
    assert gateway_service_pb2.ChatResponse.FromString(typed.body).usage.output_tokens == 3
    assert stream.done.usage.output_tokens == 3
    assert stream.done.finish_reason is FinishReason.LENGTH
