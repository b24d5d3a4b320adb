"""What users of the openai SDK get, with nothing changed but base_url and key."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import openai
import pytest
from gateway_process import SMALL_KEY, Gateway
from plain_http import TRUSTS_NOBODY
from upstream import Behaviour, Cut, ErrorEvent, Refuse, RemoteUpstream, ToolCall
from upstream.behaviours import DEFAULT_TEXT

pytestmark = pytest.mark.mesh

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with (
        httpx.Client(trust_env=False, verify=TRUSTS_NOBODY) as http,
        openai.OpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=gateway.key, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


@pytest.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        httpx.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY) as http,
        openai.AsyncOpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=gateway.key, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


async def test_a_chat_is_answered_with_usage(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)

    assert answer.choices[0].message.content == DEFAULT_TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    [request] = await upstream.requests()
    assert request.body["model"] == "gpt-4o-mini-2024-07-18"
    assert request.header("authorization") == "Bearer sk-upstream-secret-value"


async def test_the_rest_of_the_request_passes_untouched(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": 'it says "model": "x" — déjà vu'}],
        temperature=0.25,
        seed=12345678901234567,
        extra_body={"tomorrow": {"model": 1.0, "deep": [None, True]}},
    )

    [request] = await upstream.requests()
    assert request.body["seed"] == 12345678901234567
    assert request.body["tomorrow"] == {"model": 1.0, "deep": [None, True]}
    assert request.body["messages"][0]["content"] == 'it says "model": "x" — déjà vu'
    assert "stream" not in request.body


def test_the_answer_says_who_gave_it(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO)

    assert raw.headers["x-meshgate-model"] == "gpt-4o-mini"
    assert raw.headers["x-meshgate-provider"] == "main"
    assert raw.headers["x-meshgate-attempts"] == "1"
    assert raw.headers["x-request-id"]


def test_a_stream_is_answered_in_order_and_ends(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True))

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == DEFAULT_TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_with_usage_ends_with_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o-mini",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


async def test_tools_pass_both_ways(client: openai.OpenAI, upstream: RemoteUpstream) -> None:
    call = ToolCall(name="get_weather", arguments='{"city": "Paris"}')
    await upstream.script("weather", Behaviour(tool_calls=(call,)))
    question = [{"role": "user", "content": "the weather in Paris?"}]

    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=question, tools=[TOOL], tool_choice="auto"
    )

    assert answer.choices[0].message.tool_calls is not None
    asked = answer.choices[0].message.tool_calls[0]
    assert asked.function.name == "get_weather"
    assert json.loads(asked.function.arguments) == {"city": "Paris"}
    [request] = await upstream.requests()
    assert request.body["tools"] == [TOOL]


async def test_tools_pass_through_a_stream(client: openai.OpenAI, upstream: RemoteUpstream) -> None:
    call = ToolCall(name="get_weather", arguments='{"city": "Paris"}')
    await upstream.script("weather", Behaviour(tool_calls=(call,)))
    question = [{"role": "user", "content": "the weather in Paris?"}]

    with client.chat.completions.stream(
        model="gpt-4o-mini", messages=question, tools=[TOOL]
    ) as stream:
        final = stream.get_final_completion()

    assert final.choices[0].message.tool_calls is not None
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"city": "Paris"}'
    assert final.choices[0].finish_reason == "tool_calls"


async def test_the_async_client_is_served_as_well(async_client: openai.AsyncOpenAI) -> None:
    answer = await async_client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    stream = await async_client.chat.completions.create(
        model="gpt-4o-mini", messages=HELLO, stream=True
    )
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert answer.choices[0].message.content == text == DEFAULT_TEXT


async def test_a_hundred_at_once_are_served(async_client: openai.AsyncOpenAI) -> None:
    async def ask(number: int) -> str | None:
        answer = await async_client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": f"question {number}"}],
        )
        return answer.choices[0].message.content

    answers = await asyncio.gather(*(ask(number) for number in range(100)))

    assert answers == [DEFAULT_TEXT] * 100


async def test_a_completion_without_messages_is_answered(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    answer = client.completions.create(
        model="gpt-4o-mini", prompt=["once", "twice"], max_tokens=20, extra_body={"tomorrow": 1.0}
    )

    assert [choice.text for choice in answer.choices] == [DEFAULT_TEXT] * 2
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 18
    [request] = await upstream.requests()
    assert request.path == "/v1/completions"
    assert request.body == {
        "model": "gpt-4o-mini-2024-07-18",
        "prompt": ["once", "twice"],
        "max_tokens": 20,
        "tomorrow": 1.0,
    }


def test_a_completion_is_streamed(client: openai.OpenAI) -> None:
    chunks = list(
        client.completions.create(
            model="gpt-4o-mini",
            prompt=[1, 2, 3],
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == DEFAULT_TEXT
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None


def test_the_demo_provider_completes_a_prompt(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="vendor/demo", prompt="hello")

    assert "You said: hello" in answer.choices[0].text


def test_a_prompt_that_is_none_is_the_sdks_own_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.completions.create(model="gpt-4o-mini", prompt=["a", 1])  # type: ignore[list-item]

    assert raised.value.param == "prompt"


async def test_a_cut_completion_never_looks_complete(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Cut(after_events=2)))
    texts: list[str] = []

    def read() -> None:
        for chunk in client.completions.create(model="one-try", prompt="hello", stream=True):
            texts.append(chunk.choices[0].text)  # noqa: PERF401 - what came before the cut

    with pytest.raises(openai.APIError):
        read()

    assert DEFAULT_TEXT.startswith("".join(texts))
    assert "".join(texts) != DEFAULT_TEXT


def test_embeddings_come_as_numbers(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])

    assert [item.index for item in answer.data] == [0, 1]
    assert all(isinstance(number, float) for number in answer.data[0].embedding)
    assert answer.usage.total_tokens > 0


def test_the_models_are_those_that_the_key_may_use(gateway: Gateway, client: openai.OpenAI) -> None:
    all_of_them = {model.id for model in client.models.list()}
    few = {model.id for model in client.with_options(api_key=SMALL_KEY).models.list()}

    assert {"gpt-4o-mini", "vendor/demo", "text-embedding-3-small"} <= all_of_them
    assert few == {"vendor/demo"}
    assert client.models.retrieve("vendor/demo").id == "vendor/demo"


def test_the_demo_provider_answers_offline(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="vendor/demo", messages=HELLO)
    chunks = list(client.chat.completions.create(model="vendor/demo", messages=HELLO, stream=True))

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert answer.choices[0].message.content == text
    assert len(chunks) > 3


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_what_the_upstream_refuses_is_the_sdks_own_error(
    client: openai.OpenAI,
    upstream: RemoteUpstream,
    status: int,
    error: type[openai.APIStatusError],
) -> None:
    await upstream.script("hello", Behaviour(fault=Refuse(status, message="because so")))

    with pytest.raises(error) as raised:
        client.chat.completions.create(model="one-try", messages=HELLO)
    with pytest.raises(error):
        client.chat.completions.create(model="one-try", messages=HELLO, stream=True)

    assert raised.value.request_id
    if status < 500 and status != 429:
        assert "because so" in raised.value.message


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="gpt-9", messages=HELLO)

    assert raised.value.code == "model_not_found"
    assert "gpt-9" in raised.value.message


def test_a_model_that_the_key_may_not_use_is_denied(client: openai.OpenAI) -> None:
    small = client.with_options(api_key=SMALL_KEY)

    with pytest.raises(openai.PermissionDeniedError) as raised:
        small.chat.completions.create(model="gpt-4o-mini", messages=HELLO)

    assert "gpt-4o-mini" in raised.value.message


def test_a_wrong_key_is_an_authentication_error(client: openai.OpenAI) -> None:
    wrong = client.with_options(api_key="mg-wrong-key")

    with pytest.raises(openai.AuthenticationError) as raised:
        wrong.chat.completions.create(model="gpt-4o-mini", messages=HELLO)

    assert raised.value.code == "invalid_api_key"
    assert "mg-wrong-key" not in raised.value.message


async def test_the_gateway_tries_again_before_the_first_byte(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Refuse(503)), times=1)

    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO)

    assert raw.parse().choices[0].message.content == DEFAULT_TEXT
    assert raw.headers["x-meshgate-attempts"] == "2"
    assert len(await upstream.requests()) == 2


async def test_a_stream_that_fails_at_its_first_event_is_tried_again(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=ErrorEvent(after_events=0)), times=1)

    chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True))

    assert "".join(c.choices[0].delta.content or "" for c in chunks) == DEFAULT_TEXT
    assert len(await upstream.requests()) == 2


def test_another_model_answers_where_a_fallback_is_set(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="with-fallback", messages=HELLO)

    assert raw.headers["x-meshgate-model"] == "gpt-4o-mini"
    assert raw.headers["x-meshgate-attempts"] == "2"


async def test_the_sdks_own_retries_heed_retry_after(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Refuse(429, retry_after="0")), times=1)
    patient = client.with_options(max_retries=2)

    answer = patient.chat.completions.create(model="one-try", messages=HELLO)

    assert answer.choices[0].message.content == DEFAULT_TEXT


@pytest.mark.parametrize("by", ["eof", "reset", "end"])
async def test_a_cut_stream_never_looks_complete(
    client: openai.OpenAI, upstream: RemoteUpstream, by: str
) -> None:
    await upstream.script("hello", Behaviour(fault=Cut(after_events=2, by=by)))
    chunks: list[object] = []
    stream = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True)

    with pytest.raises(openai.APIError):
        chunks.extend(stream)

    assert chunks
