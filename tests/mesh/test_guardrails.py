"""What may pass, through a whole gateway: requests, plain answers and streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from collector import Collector
from gateway_process import ADMIN_KEY, Gateway
from mesh.administration import Admin
from mesh.books import total
from mesh.sensitive import (
    CARD,
    CHAT,
    EMAIL,
    PROMPT,
    SECRET,
    asking,
    booked,
    content,
    named,
    said,
    told,
    traced,
    written_about,
)
from mesh.shared_gateways import MESH_AND_COMPACT
from plain_http import TRUSTS_NOBODY
from upstream import Behaviour, Framing, RemoteUpstream, ToolCall

from meshgate.dialects.openai_chat import grammar
from meshgate.v1 import guardrails_service_pb2, usage_record_pb2

pytestmark = [pytest.mark.mesh, MESH_AND_COMPACT]

BLOCKED = usage_record_pb2.REQUEST_OUTCOME_BLOCKED
ANSWERED = usage_record_pb2.REQUEST_OUTCOME_ANSWERED
TRACED = f"00-{7:032x}-{7:016x}-01"


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


@pytest.fixture
async def sdk(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        httpx.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY) as http,
        openai.AsyncOpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=gateway.key, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


def found(record: usage_record_pb2.UsageRecord) -> list[tuple[str, str]]:
    """What was found, and what was done about it."""
    name = guardrails_service_pb2.FindingAction.Name
    return [
        (each.detector, name(each.action).removeprefix("FINDING_ACTION_").lower())
        for each in record.findings
    ]


# ------------------------------------------------------------- requests


async def test_what_is_masked_in_a_request_does_not_reach_the_upstream(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    body = asking(f"I am {EMAIL}, my card is {CARD}", seed=12345678901234567)
    answer = await client.post(CHAT, json=body, headers=named("masked-input"))
    record = await booked(gateway, "masked-input")

    assert answer.status_code == 200
    [seen] = await upstream.requests()
    [message] = seen.body["messages"]
    assert message["content"] == f"{PROMPT}: I am [EMAIL], my card is [CREDIT_CARD]"
    assert seen.body["seed"] == 12345678901234567
    assert sorted(found(record)) == [("credit-card", "mask"), ("email", "mask")]
    assert record.outcome == ANSWERED


async def test_a_blocked_request_is_a_bad_request_and_reaches_no_upstream(
    sdk: openai.AsyncOpenAI, upstream: RemoteUpstream
) -> None:
    messages: Any = asking(f"use {SECRET}")["messages"]

    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as raised:
            await sdk.chat.completions.create(model="guarded", messages=messages, stream=stream)
        assert raised.value.code == "content_filter"
        assert "careful" in raised.value.message
        assert SECRET not in raised.value.response.text

    assert await upstream.requests() == []


async def test_a_blocked_request_counts_as_one_and_costs_nothing(gateway: Gateway) -> None:
    async with gateway.client(ADMIN_KEY) as admin:
        _, key = await Admin(admin).key(total("REQUESTS", 1))
    async with gateway.client(key) as client:
        body = asking(f"use {SECRET}")
        blocked = await client.post(CHAT, json=body, headers=named("blocked-input"))
        record = await booked(gateway, "blocked-input")
        beyond = await client.post(CHAT, json=asking("hello"))

    assert blocked.status_code == 400
    assert record.outcome == BLOCKED
    assert found(record) == [("api-key", "block")]
    assert not record.charges
    assert beyond.status_code == 429


async def test_the_older_api_has_no_way_around(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    body = {"model": "guarded", "prompt": f"use {SECRET}"}
    answer = await client.post("/v1/completions", json=body)

    assert answer.status_code == 400
    assert SECRET not in answer.text
    assert await upstream.requests() == []


# ------------------------------------------------------------- plain answers


async def test_a_plain_answer_is_masked(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script("whom", Behaviour(text=f"Ask {EMAIL}."))
    answer = await client.post(CHAT, json=asking("whom?"), headers=named("masked-output"))
    record = await booked(gateway, "masked-output")

    assert content(answer) == "Ask [EMAIL]."
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert found(record) == [("email", "mask")]
    assert record.outcome == ANSWERED


async def test_a_blocked_answer_is_empty_and_booked_in_full(
    gateway: Gateway, sdk: openai.AsyncOpenAI, upstream: RemoteUpstream
) -> None:
    await upstream.script("key", Behaviour(text=f"Here you are: {SECRET}"))
    messages: Any = asking("the key?")["messages"]
    answer = await sdk.chat.completions.create(
        model="guarded", messages=messages, extra_headers=named("blocked-output")
    )
    record = await booked(gateway, "blocked-output")

    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].message.content == ""
    assert SECRET not in answer.model_dump_json()
    assert record.outcome == BLOCKED
    [charge] = record.charges
    assert answer.usage is not None
    assert charge.usage.output_tokens == answer.usage.completion_tokens > 0


# ------------------------------------------------------------- streams


async def streamed(
    client: httpx.AsyncClient, upstream: RemoteUpstream, behaviours: list[Behaviour]
) -> list[httpx.Response]:
    """The stream of each behaviour."""
    for number, behaviour in enumerate(behaviours):
        await upstream.script(f"case {number}.", behaviour)
    asked = [
        client.post(CHAT, json=asking(f"case {number}.", stream=True))
        for number in range(len(behaviours))
    ]
    answers = await asyncio.gather(*asked)
    for answer in answers:
        grammar.check(answer.content)
    return answers


def cut_in_two(text: str) -> list[Behaviour]:
    """An answer with the text in it, cut in two at each place within the text."""
    return [
        Behaviour(text=_halved(text, at), chunks=2, framing=Framing(events_per_write=1))
        for at in range(len(text) + 1)
    ]


def _halved(text: str, at: int) -> str:
    """The text with so much around it that the middle of the whole lies at that place in it."""
    before, after = max(0, len(text) - 2 * at), max(0, 2 * at - len(text))
    return f"{'.' * before} {text} {'.' * after}"


async def test_a_stream_shows_the_masked_whole_wherever_it_is_cut_in_two(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    behaviours = cut_in_two(EMAIL)

    answers = await streamed(client, upstream, behaviours)

    expected = [(each.text.replace(EMAIL, "[EMAIL]"), "stop") for each in behaviours]
    assert [said(answer) for answer in answers] == expected


async def test_a_secret_is_blocked_wherever_it_is_cut_in_two(
    client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    behaviours = cut_in_two(SECRET)

    answers = await streamed(client, upstream, behaviours)

    for behaviour, answer in zip(behaviours, answers, strict=True):
        text, ending = said(answer)
        assert ending == "content_filter"
        assert behaviour.text[: behaviour.text.index(SECRET)].startswith(text)


@pytest.mark.parametrize("split_bytes", [None, 1, 7])
async def test_a_stream_may_come_character_by_character_and_byte_by_byte(
    client: httpx.AsyncClient, upstream: RemoteUpstream, split_bytes: int | None
) -> None:
    texts = [f"Ask {EMAIL}, or {CARD} now: déjà 鳥.", f"Ask {EMAIL}; {SECRET} then"]
    framing = Framing(split_bytes=split_bytes)
    behaviours = [Behaviour(text=text, chunks=len(text), framing=framing) for text in texts]

    masked, blocked = await streamed(client, upstream, behaviours)

    assert said(masked) == ("Ask [EMAIL], or [CREDIT_CARD] now: déjà 鳥.", "stop")
    text, ending = said(blocked)
    assert ending == "content_filter"
    assert "Ask [EMAIL]; ".startswith(text)
    assert text


async def test_a_stream_that_is_blocked_ends_well_for_the_sdk(
    gateway: Gateway, sdk: openai.AsyncOpenAI, upstream: RemoteUpstream
) -> None:
    long = "one two three " * 20
    await upstream.script("tell", Behaviour(text=f"{long}{SECRET} {long}", chunks=60))
    messages: Any = asking("tell me")["messages"]
    stream = await sdk.chat.completions.create(
        model="guarded",
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=named("blocked-stream"),
    )
    events = [event async for event in stream]
    record = await booked(gateway, "blocked-stream")

    text = "".join(e.choices[0].delta.content or "" for e in events if e.choices)
    assert text.startswith("one two three ")
    assert long.startswith(text)
    assert events[-2].choices[0].finish_reason == "content_filter"
    usage = events[-1].usage
    assert usage is not None
    assert record.outcome == BLOCKED
    assert [charge.usage.output_tokens for charge in record.charges] == [usage.completion_tokens]
    assert usage.completion_tokens > 0


@pytest.mark.parametrize("chunks", [1, 3, 80])
async def test_arguments_of_tool_calls_stay_json(
    client: httpx.AsyncClient, upstream: RemoteUpstream, chunks: int
) -> None:
    arguments = json.dumps({"to": EMAIL, "card": int(CARD), "text": f'"{EMAIL}"\n', "all": [True]})
    masked = {"to": "[EMAIL]", "card": "[CREDIT_CARD]", "text": '"[EMAIL]"\n', "all": [True]}
    calls = (ToolCall("send", arguments), ToolCall("other", '{"n": 1}'))
    await upstream.script("send it", Behaviour(tool_calls=calls, chunks=chunks))

    plain = await client.post(CHAT, json=asking("send it"))
    stream = await client.post(CHAT, json=asking("send it", stream=True))

    [choice] = plain.json()["choices"]
    [sent, other] = choice["message"]["tool_calls"]
    assert json.loads(sent["function"]["arguments"]) == masked
    assert other["function"] == {"name": "other", "arguments": '{"n": 1}'}
    fragments = {0: "", 1: ""}
    for event in told(stream):
        for each in event["choices"][0]["delta"].get("tool_calls", []):
            fragments[each["index"]] += each["function"].get("arguments", "")
    assert json.loads(fragments[0]) == masked
    assert fragments[1] == '{"n": 1}'


# ------------------------------------------------------------- what is written down


async def test_no_text_stands_in_logs_records_or_traces(
    gateway: Gateway, client: httpx.AsyncClient, collector: Collector, upstream: RemoteUpstream
) -> None:
    await upstream.script("leaks", Behaviour(text=f"{EMAIL} has {SECRET}, surely", chunks=9))
    for number, text in enumerate((f"use {SECRET}", f"I am {EMAIL}", "what leaks?")):
        for stream in (False, True):
            name = f"quiet-{number}-{stream}-{gateway.mode}"
            headers = named(name) | {"traceparent": TRACED}
            await client.post(CHAT, json=asking(text, stream=stream), headers=headers)
            await booked(gateway, name)
            attributes = await traced(collector, name)

    exported = b"".join(collector.exports)
    assert attributes["meshgate.outcome"] == "blocked"
    for text in (EMAIL, SECRET, SECRET[:12], PROMPT, "surely"):
        assert text not in written_about(gateway)
        assert text.encode() not in exported
