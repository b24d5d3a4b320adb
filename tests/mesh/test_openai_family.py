"""Members of OpenAI's family behind the gateway, each asked in its own words."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from gateway_process import Gateway
from plain_http import TRUSTS_NOBODY
from upstream import Behaviour, Match, RemoteUpstream, ToolCall
from upstream.behaviours import DEFAULT_TEXT

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.parametrize("gateway", ["compact"], indirect=True, scope="module"),
]

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("weather", "clock")
]


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with (
        httpx.Client(trust_env=False, verify=TRUSTS_NOBODY) as http,
        openai.OpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=gateway.key, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


async def test_mistral_is_asked_in_its_words_and_its_calls_are_put_together(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    calls = (ToolCall("weather", '{"city": "Paris"}'), ToolCall("clock", '{"zone": "CET"}'))
    # Mistral tells the usage unasked.
    await upstream.script(
        Match(), Behaviour(tool_calls=calls, call_numbers="missing", usage_sent="always")
    )

    with client.chat.completions.stream(
        model="mistral-small",
        messages=HELLO,
        tools=TOOLS,
        tool_choice="required",
        seed=7,
        max_completion_tokens=50,
    ) as stream:
        message = stream.get_final_completion().choices[0].message

    assert [(it.function.name, it.function.arguments) for it in message.tool_calls or ()] == [
        (call.name, call.arguments) for call in calls
    ]
    [request] = await upstream.requests()
    assert request.body == {
        "model": "mistral-small",
        "messages": HELLO,
        "tools": TOOLS,
        "tool_choice": "any",
        "random_seed": 7,
        "max_tokens": 50,
        "stream": True,
    }


async def test_what_mistral_does_not_take_is_refused_by_its_name(
    gateway: Gateway, upstream: RemoteUpstream
) -> None:
    asked = {"model": "mistral-small", "topK": 3, "messages": [said("ROLE_USER", text="hello")]}

    async with gateway.client() as http:
        answer = await http.post("/meshgate/v1/chat", json=asked)

    assert answer.status_code == 400
    assert "top_k" in answer.text
    assert await upstream.requests() == []


async def test_deepseek_is_told_thoughts_with_its_calls_and_no_others(
    gateway: Gateway, upstream: RemoteUpstream
) -> None:
    await upstream.script(Match(), Behaviour(thought="hm"))
    thought = {"reasoning": {"text": "so"}}
    call = {"toolCall": {"id": "c1", "name": "clock", "argumentsJson": "e30="}}
    result = {"toolResult": {"toolCallId": "c1", "text": "noon"}}
    messages = [
        said("ROLE_USER", text="hello"),
        {"role": "ROLE_ASSISTANT", "parts": [thought, {"text": "Hi."}]},
        said("ROLE_USER", text="and?"),
        {"role": "ROLE_ASSISTANT", "parts": [thought, call]},
        {"role": "ROLE_TOOL", "parts": [result]},
    ]
    asked = {"model": "deepseek-flash", "messages": messages, "maxOutputTokens": 50}

    async with gateway.client() as http:
        answer = await http.post("/meshgate/v1/chat", json=asked)

    first, second = answer.json()["message"]["parts"]
    assert (first["reasoning"]["text"], second["text"]) == ("hm", DEFAULT_TEXT)
    [request] = await upstream.requests()
    told = request.body["messages"]
    assert request.body["max_tokens"] == 50
    assert "reasoning_content" not in told[1]
    assert told[3]["reasoning_content"] == "so"


async def test_deepseeks_thoughts_reach_an_openai_client_as_they_are(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    await upstream.script(Match(), Behaviour(thought="hm, well", chunks=2))

    stream = client.chat.completions.create(model="deepseek-flash", messages=HELLO, stream=True)
    deltas = [chunk.choices[0].delta for chunk in stream]

    thoughts = [getattr(delta, "reasoning_content", None) for delta in deltas]
    assert "".join(filter(None, thoughts)) == "hm, well"
    assert "".join(delta.content or "" for delta in deltas) == DEFAULT_TEXT


def said(role: str, **part: Any) -> dict[str, Any]:
    return {"role": role, "parts": [part]}
