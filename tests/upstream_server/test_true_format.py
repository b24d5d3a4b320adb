"""The real SDK reads what the fake upstream writes."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from plain_http import TRUSTS_NOBODY
from upstream import Behaviour, FakeUpstream, Refuse, ToolCall, Usage

ASK: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "why is it so"}]}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(api_key="sk-right") as upstream:
        yield upstream


@pytest.fixture
async def client(upstream: FakeUpstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=upstream.base_url, api_key="sk-right", max_retries=0
    ) as client:
        yield client


async def test_a_plain_answer_is_a_completion_with_usage(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**ASK)

    assert answer.object == "chat.completion"
    assert answer.model == "gpt-4o-mini"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content == "The quick brown fox jumps over the lazy dog."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 9)
    assert answer.usage.total_tokens == 13


async def test_a_completion_without_messages_answers_each_prompt(
    client: openai.AsyncOpenAI,
) -> None:
    answer = await client.completions.create(model="gpt-4o-mini", prompt=["a", "b"], n=2)
    stream = await client.completions.create(model="gpt-4o-mini", prompt=[1, 2], stream=True)
    texts = [chunk.choices[0].text async for chunk in stream]

    assert answer.object == "text_completion"
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[3].text == "".join(texts)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 36


async def test_a_sync_client_reads_plain_and_streamed_answers(upstream: FakeUpstream) -> None:
    def ask() -> tuple[str | None, str]:
        with openai.OpenAI(base_url=upstream.base_url, api_key="sk-right") as client:
            plain = client.chat.completions.create(**ASK)
            events = list(client.chat.completions.create(**ASK, stream=True))
        return (
            plain.choices[0].message.content,
            "".join(e.choices[0].delta.content or "" for e in events),
        )

    plain, streamed = await asyncio.to_thread(ask)

    assert plain == streamed == "The quick brown fox jumps over the lazy dog."


async def test_a_stream_opens_with_the_role_and_ends_with_the_usage(
    client: openai.AsyncOpenAI,
) -> None:
    stream = await client.chat.completions.create(
        **ASK, stream=True, stream_options={"include_usage": True}
    )

    events = [event async for event in stream]

    assert events[0].choices[0].delta.role == "assistant"
    assert all(event.choices[0].delta.role is None for event in events[1:-1])
    assert [event.choices[0].finish_reason for event in events[:-1]] == [None] * 5 + ["stop"]
    assert [event.usage for event in events[:-1]] == [None] * 6
    assert "usage" in events[0].model_fields_set
    assert events[-1].choices == []
    assert events[-1].usage is not None
    assert events[-1].usage.total_tokens == 13


async def test_a_stream_says_nothing_of_usage_unless_asked(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(**ASK, stream=True)

    events = [event async for event in stream]

    assert not any("usage" in event.model_fields_set for event in events)


async def test_each_of_n_choices_is_told_apart(client: openai.AsyncOpenAI) -> None:
    plain = await client.chat.completions.create(**ASK, n=3)
    stream = await client.chat.completions.create(**ASK, n=3, stream=True)
    texts = ["", "", ""]

    async for event in stream:
        texts[event.choices[0].index] += event.choices[0].delta.content or ""

    assert [choice.index for choice in plain.choices] == [0, 1, 2]
    assert texts == ["The quick brown fox jumps over the lazy dog."] * 3


async def test_a_tool_is_called_when_the_prompt_says_so(client: openai.AsyncOpenAI) -> None:
    asked = ASK | {"messages": [{"role": "user", "content": "call weather"}], "tools": [WEATHER]}

    answer = await client.chat.completions.create(**asked)

    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None
    assert answer.choices[0].message.tool_calls is not None
    call: Any = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Paris"}')


async def test_a_tool_result_is_answered_in_words(client: openai.AsyncOpenAI) -> None:
    messages = [
        {"role": "user", "content": "call weather"},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]

    answer = await client.chat.completions.create(
        **ASK | {"messages": messages, "tools": [WEATHER]}
    )

    assert answer.choices[0].finish_reason == "stop"


async def test_streamed_arguments_join_to_those_of_the_call(
    upstream: FakeUpstream, client: openai.AsyncOpenAI
) -> None:
    calls = (ToolCall("weather", '{"city": "Paris"}'), ToolCall("time", '{"zone": 1}'))
    upstream.default(Behaviour(tool_calls=calls))

    async with client.chat.completions.stream(**ASK, tools=[WEATHER]) as stream:
        final = await stream.get_final_completion()

    assert final.choices[0].finish_reason == "tool_calls"
    assert final.choices[0].message.tool_calls is not None
    made = [(c.function.name, c.function.arguments) for c in final.choices[0].message.tool_calls]
    assert made == [("weather", '{"city": "Paris"}'), ("time", '{"zone": 1}')]


async def test_a_limit_on_tokens_is_honoured(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**ASK, max_completion_tokens=2)

    assert answer.choices[0].message.content == "The quick "
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


async def test_usage_is_what_the_script_says(
    upstream: FakeUpstream, client: openai.AsyncOpenAI
) -> None:
    upstream.default(
        Behaviour(
            usage=Usage(100, 50, cached_input_tokens=80, reasoning_tokens=20),
        )
    )

    answer = await client.chat.completions.create(**ASK)

    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 80
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 20


async def test_embeddings_are_equal_as_floats_and_as_base64(
    upstream: FakeUpstream, client: openai.AsyncOpenAI
) -> None:
    asked: Any = {"model": "text-embedding-3-small", "input": ["a cat", "a dog"]}

    floats = await client.embeddings.create(**asked, encoding_format="float")
    decoded = await client.embeddings.create(**asked)
    raw: Any = await client.embeddings.create(**asked, encoding_format="base64")

    assert [item.embedding for item in floats.data] == [item.embedding for item in decoded.data]
    assert (
        list(struct.unpack("<8f", base64.b64decode(raw.data[1].embedding)))
        == floats.data[1].embedding
    )
    assert floats.data[0].embedding != floats.data[1].embedding
    assert floats.usage.prompt_tokens == 4
    assert upstream.requests[1].body["encoding_format"] == "base64"


async def test_models_are_listed_and_found(client: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]
    found = await client.models.retrieve("gpt-4o")

    assert listed == ["gpt-4o-mini", "gpt-4o", "text-embedding-3-small"]
    assert found.id == "gpt-4o"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_each_status_raises_the_error_of_its_class(
    upstream: FakeUpstream,
    client: openai.AsyncOpenAI,
    status: int,
    error: type[openai.APIStatusError],
    stream: bool,
) -> None:
    upstream.default(Behaviour(fault=Refuse(status, message="no", code="so", param="x")))

    with pytest.raises(error) as caught:
        await client.chat.completions.create(**ASK, stream=stream)

    assert caught.value.status_code == status
    assert (caught.value.code, caught.value.param) == ("so", "x")
    assert caught.value.request_id == "req_fake" + "0" * 24


async def test_a_refused_request_is_retried_by_the_sdk_after_the_time_given(
    upstream: FakeUpstream,
) -> None:
    upstream.script("", Behaviour(fault=Refuse(429, retry_after="0.01")), times=2)

    async with openai.AsyncOpenAI(
        base_url=upstream.base_url, api_key="sk-right", max_retries=2
    ) as client:
        answer = await client.chat.completions.create(**ASK)

    assert answer.choices[0].finish_reason == "stop"
    assert len(upstream.requests) == 3


async def test_a_wrong_key_is_refused(upstream: FakeUpstream) -> None:
    async with openai.AsyncOpenAI(base_url=upstream.base_url, api_key="sk-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.models.list()

    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("path", "content", "status", "message"),
    [
        ("/chat/completions", b"{", 400, "We could not parse the JSON body"),
        ("/chat/completions", b'{"messages": []}', 400, "you must provide a model parameter"),
        ("/chat/completions", b'{"model": "m"}', 400, "Missing required parameter: 'messages'."),
        ("/embeddings", b'{"model": "m"}', 400, "Missing required parameter: 'input'."),
        ("/nowhere", b"{}", 404, "Invalid URL (POST /v1/nowhere)"),
    ],
)
async def test_what_openai_refuses_is_refused(
    upstream: FakeUpstream, path: str, content: bytes, status: int, message: str
) -> None:
    async with httpx.AsyncClient(
        base_url=upstream.base_url, trust_env=False, verify=TRUSTS_NOBODY
    ) as client:
        answer = await client.post(
            path, content=content, headers={"authorization": "Bearer sk-right"}
        )

    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(message)
