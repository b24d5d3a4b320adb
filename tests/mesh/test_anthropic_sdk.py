"""What users of the anthropic SDK get, with nothing changed but base_url and key.

Each against an upstream that speaks Anthropic's API, and one that speaks OpenAI's.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import anthropic
import httpx2
import pytest
from gateway_process import SMALL_KEY, Gateway
from mesh.books import records
from mesh.sensitive import SECRET
from mesh.shared_gateways import MESH_AND_COMPACT
from mesh.waiting import until
from plain_http import TRUSTS_NOBODY
from upstream import Behaviour, Cut, ErrorEvent, Refuse, RemoteUpstream, ToolCall, Usage
from upstream.behaviours import DEFAULT_TEXT
from upstream.messages import SIGNATURE, THOUGHT

pytestmark = [pytest.mark.mesh, MESH_AND_COMPACT]

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = [{"role": "user", "content": "the weather in Paris?"}]
TOOL = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = ToolCall(name="get_weather", arguments='{"city": "Paris"}')
NATIVE, FOREIGN = "claude", "one-try"
BOTH = pytest.mark.parametrize("model", [NATIVE, FOREIGN])


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with (
        httpx2.Client(trust_env=False, verify=TRUSTS_NOBODY) as http,
        anthropic.Anthropic(
            base_url=gateway.base_url, api_key=gateway.key, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


@pytest.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with (
        httpx2.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY) as http,
        anthropic.AsyncAnthropic(
            base_url=gateway.base_url, api_key=gateway.key, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


def asked(client: anthropic.Anthropic, model: str, **more: Any) -> anthropic.types.Message:
    wanted = {"model": model, "max_tokens": 100, "messages": HELLO} | more
    return client.messages.create(**wanted)


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


class TestAnswers:
    @BOTH
    def test_a_message_is_answered_with_usage(
        self, client: anthropic.Anthropic, model: str
    ) -> None:
        message = asked(client, model, system="be kind")

        assert text_of(message) == DEFAULT_TEXT
        assert message.stop_reason == "end_turn"
        assert message.role == "assistant"
        assert message.usage.input_tokens > 0
        assert message.usage.output_tokens > 0

    async def test_the_rest_of_a_request_passes_untouched(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream
    ) -> None:
        asked(
            client,
            NATIVE,
            extra_body={"tomorrow": {"model": 1.0, "deep": [None, True]}},
            extra_headers={"anthropic-beta": "context-1m-2025-08-07"},
        )

        [request] = await upstream.requests()
        assert request.path == "/v1/messages"
        assert request.body["model"] == "claude-sonnet-4-5"
        assert request.body["tomorrow"] == {"model": 1.0, "deep": [None, True]}
        assert request.header("x-api-key") == "sk-upstream-secret-value"
        assert request.header("authorization") is None
        assert request.header("anthropic-version") == "2026-10-21"
        assert request.header("anthropic-beta") == "context-1m-2025-08-07"

    async def test_the_client_of_betas_is_served_as_well(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream
    ) -> None:
        message = client.beta.messages.create(
            model=NATIVE, max_tokens=100, messages=HELLO, betas=["context-1m-2025-08-07"]
        )
        counted = client.beta.messages.count_tokens(model=NATIVE, messages=HELLO)

        assert message.content[0].text == DEFAULT_TEXT
        assert counted.input_tokens == 1
        [request, _] = await upstream.requests()
        assert request.header("anthropic-beta") == "context-1m-2025-08-07"

    async def test_an_upstream_with_openais_api_is_asked_in_its_words(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream
    ) -> None:
        asked(client, FOREIGN, system="be kind", stop_sequences=["END"])

        [request] = await upstream.requests()
        assert request.path == "/v1/chat/completions"
        assert request.body["messages"][0] == {"role": "system", "content": "be kind"}
        assert request.body["stop"] == ["END"]
        assert request.header("anthropic-version") is None

    def test_what_cannot_be_expressed_is_refused_by_its_name(
        self, client: anthropic.Anthropic
    ) -> None:
        search = {"type": "web_search_20250305", "name": "web_search"}

        with pytest.raises(anthropic.BadRequestError, match=r"tools\[0\]\.type"):
            asked(client, FOREIGN, tools=[search])

    @BOTH
    async def test_an_answer_that_is_cut_short_says_so(
        self, client: anthropic.Anthropic, model: str
    ) -> None:
        message = asked(client, model, max_tokens=3)

        assert message.stop_reason == "max_tokens"


class TestStreams:
    @BOTH
    def test_a_stream_says_what_a_plain_answer_does(
        self, client: anthropic.Anthropic, model: str
    ) -> None:
        with client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
            texts = list(stream.text_stream)
            final = stream.get_final_message()

        assert "".join(texts) == DEFAULT_TEXT
        assert len(texts) > 1
        assert text_of(final) == DEFAULT_TEXT
        assert final.stop_reason == "end_turn"
        assert final.usage.input_tokens > 0
        assert final.usage.output_tokens > 0

    @BOTH
    async def test_the_async_client_is_served_as_well(
        self, async_client: anthropic.AsyncAnthropic, model: str
    ) -> None:
        async with async_client.messages.stream(
            model=model, max_tokens=100, messages=HELLO
        ) as stream:
            final = await stream.get_final_message()

        assert text_of(final) == DEFAULT_TEXT

    @BOTH
    async def test_a_stream_that_is_cut_never_looks_whole(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream, model: str
    ) -> None:
        await upstream.script("hello", Behaviour(fault=Cut(after_events=4)))

        with (
            pytest.raises(anthropic.APIStatusError),
            client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream,
        ):
            stream.get_final_message()

    @BOTH
    async def test_an_error_within_a_stream_is_one_for_the_client(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream, model: str
    ) -> None:
        fault = ErrorEvent(after_events=4, error_type="overloaded_error")
        await upstream.script("hello", Behaviour(fault=fault))

        with (
            pytest.raises(anthropic.APIStatusError, match="overloaded"),
            client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream,
        ):
            stream.get_final_message()


class TestTools:
    @BOTH
    async def test_a_round_of_tools(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream, model: str
    ) -> None:
        await upstream.script("the weather", Behaviour(tool_calls=(CALL,)), times=1)
        question = {"tools": [TOOL], "messages": WEATHER}

        wish = asked(client, model, **question)
        [call] = [block for block in wish.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        said = [
            *WEATHER,
            {"role": "assistant", "content": wish.content},
            {"role": "user", "content": [result]},
        ]
        answer = asked(client, model, tools=[TOOL], messages=said)

        assert wish.stop_reason == "tool_use"
        assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
        assert text_of(answer) == DEFAULT_TEXT

    @BOTH
    async def test_two_calls_of_a_stream_are_two_blocks(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream, model: str
    ) -> None:
        await upstream.script("the weather", Behaviour(tool_calls=(CALL, CALL)))

        with client.messages.stream(
            model=model, max_tokens=100, messages=WEATHER, tools=[TOOL]
        ) as stream:
            final = stream.get_final_message()

        calls = [block for block in final.content if block.type == "tool_use"]
        assert [call.input for call in calls] == [{"city": "Paris"}] * 2
        assert len({call.id for call in calls}) == 2
        assert final.stop_reason == "tool_use"

    async def test_openais_sdk_reaches_anthropics_models(
        self, gateway: Gateway, upstream: RemoteUpstream
    ) -> None:
        function = {"name": "get_weather", "parameters": TOOL["input_schema"]}
        asked_for = {
            "model": NATIVE,
            "messages": [
                {"role": "system", "content": "be kind"},
                *WEATHER,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                {"role": "user", "content": "thanks"},
            ],
            "tools": [{"type": "function", "function": function}],
        }

        async with gateway.client() as client:
            answer = await client.post("/v1/chat/completions", json=asked_for)

        assert answer.json()["choices"][0]["message"]["content"] == DEFAULT_TEXT
        [request] = await upstream.requests()
        assert request.header("anthropic-version") == "2023-06-01"
        assert request.body["system"] == "be kind"
        assert request.body["max_tokens"] == 64_000
        assert [message["role"] for message in request.body["messages"]] == [
            "user",
            "assistant",
            "user",
        ]


class TestThinking:
    async def test_a_thought_goes_back_with_its_signature(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream
    ) -> None:
        thinking = {"type": "enabled", "budget_tokens": 1024}

        with client.messages.stream(
            model=NATIVE, max_tokens=2048, messages=HELLO, thinking=thinking
        ) as stream:
            first = stream.get_final_message()
        said = [
            *HELLO,
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": "go on"},
        ]
        second = asked(client, NATIVE, messages=said, max_tokens=2048, thinking=thinking)

        thought = first.content[0]
        assert (thought.type, thought.thinking, thought.signature) == (
            "thinking",
            THOUGHT,
            SIGNATURE,
        )
        assert text_of(second) == DEFAULT_TEXT


class TestCounts:
    def test_an_upstream_counts_that_can(self, client: anthropic.Anthropic) -> None:
        words = [{"role": "user", "content": "one two three four five"}]

        counted = client.messages.count_tokens(model=NATIVE, messages=words)

        assert counted.input_tokens == 5  # to the fake upstream a word is a token

    async def test_what_no_upstream_can_count_is_counted_here(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream
    ) -> None:
        words = [{"role": "user", "content": "hello world"}]

        counted = client.messages.count_tokens(model=FOREIGN, messages=words)

        assert counted.input_tokens == 2 + 3 + 3  # the texts, their message, and the answer's begin
        assert await upstream.requests() == []


def test_models_are_listed_and_found(client: anthropic.Anthropic) -> None:
    listed = [model.display_name for model in client.models.list()]
    found = client.models.retrieve(NATIVE)

    assert {NATIVE, FOREIGN} <= {*listed}
    assert (found.type, found.id) == ("model", NATIVE)


class TestErrors:
    def test_a_key_that_is_not_known(self, gateway: Gateway) -> None:
        with (
            httpx2.Client(trust_env=False, verify=TRUSTS_NOBODY) as http,
            anthropic.Anthropic(
                base_url=gateway.base_url, api_key="mg-wrong", http_client=http, max_retries=0
            ) as client,
            pytest.raises(anthropic.AuthenticationError) as told,
        ):
            asked(client, NATIVE)

        assert told.value.body["error"]["type"] == "authentication_error"

    def test_a_model_that_is_none(self, client: anthropic.Anthropic) -> None:
        with pytest.raises(anthropic.NotFoundError) as told:
            asked(client, "claude-none")

        assert told.value.body["type"] == "error"
        assert told.value.body["error"]["type"] == "not_found_error"

    def test_a_model_that_the_key_may_not_use(self, gateway: Gateway) -> None:
        with (
            httpx2.Client(trust_env=False, verify=TRUSTS_NOBODY) as http,
            anthropic.Anthropic(
                base_url=gateway.base_url, api_key=SMALL_KEY, http_client=http, max_retries=0
            ) as client,
            pytest.raises(anthropic.PermissionDeniedError),
        ):
            asked(client, NATIVE)

    def test_a_request_that_is_malformed(self, client: anthropic.Anthropic) -> None:
        with pytest.raises(anthropic.BadRequestError) as told:
            asked(client, NATIVE, messages=[])

        assert told.value.body["error"]["type"] == "invalid_request_error"
        assert "messages" in told.value.body["error"]["message"]

    @BOTH
    @pytest.mark.parametrize(
        ("refuse", "expected"),
        [
            (Refuse(429, retry_after="2"), anthropic.RateLimitError),
            (Refuse(400), anthropic.BadRequestError),
            (Refuse(529), anthropic.OverloadedError),
            (Refuse(500), anthropic.InternalServerError),
            (Refuse(401), anthropic.InternalServerError),  # it is the gateway's key that is wrong
        ],
        ids=lambda it: it.status if isinstance(it, Refuse) else it.__name__,
    )
    async def test_what_an_upstream_refuses_has_the_class_of_the_sdk(
        self,
        client: anthropic.Anthropic,
        upstream: RemoteUpstream,
        model: str,
        refuse: Refuse,
        expected: type[anthropic.APIStatusError],
    ) -> None:
        await upstream.script("hello", Behaviour(fault=refuse))

        with pytest.raises(expected) as told:
            asked(client, model)

        assert type(told.value) is expected
        assert "sk-upstream" not in json.dumps(told.value.body)


class TestBooks:
    @BOTH
    @pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
    async def test_usage_and_cost_are_booked(
        self,
        gateway: Gateway,
        client: anthropic.Anthropic,
        upstream: RemoteUpstream,
        model: str,
        stream: bool,
    ) -> None:
        mark = uuid4().hex
        usage = Usage(input_tokens=1000, output_tokens=50, cached_input_tokens=400)
        await upstream.script(mark, Behaviour(usage=usage))
        question = [{"role": "user", "content": mark}]
        headers = {"x-request-id": mark}

        if stream:
            with client.messages.stream(
                model=f"priced-{model}", max_tokens=9, messages=question, extra_headers=headers
            ) as answer:
                told = answer.get_final_message().usage
        else:
            told = asked(client, f"priced-{model}", messages=question, extra_headers=headers).usage

        assert (told.input_tokens, told.cache_read_input_tokens, told.output_tokens) == (
            600,
            400,
            50,
        )

        async def booked() -> bool:
            return any(record.request_id == mark for record in records(gateway))

        await until(booked)
        [record] = [record for record in records(gateway) if record.request_id == mark]
        [charge] = record.charges
        assert charge.usage.input_tokens == 1000
        assert charge.usage.cached_input_tokens == 400
        assert charge.usage.output_tokens == 50
        assert charge.cost_nanos == 600 * 3000 + 400 * 300 + 50 * 15000


class TestPolicies:
    async def test_a_secret_in_an_answer_ends_it_as_a_refusal(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream
    ) -> None:
        await upstream.script("leak", Behaviour(text=f"the key is {SECRET}"))
        leak = [{"role": "user", "content": "leak"}]

        plain = asked(client, "claude-guarded", messages=leak)
        with client.messages.stream(
            model="claude-guarded", max_tokens=100, messages=leak
        ) as stream:
            streamed = stream.get_final_message()

        assert (plain.stop_reason, streamed.stop_reason) == ("refusal", "refusal")
        assert SECRET not in text_of(plain) + text_of(streamed)

    async def test_an_address_is_masked_on_its_way_in_and_out(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream
    ) -> None:
        await upstream.script("write to", Behaviour(text="she is ada@example.org"))
        address = [{"role": "user", "content": "write to bob@example.org"}]

        with client.messages.stream(
            model="claude-guarded", max_tokens=100, messages=address
        ) as stream:
            answer = text_of(stream.get_final_message())

        [request] = await upstream.requests()
        assert "example.org" not in request.raw_body.decode()
        assert answer.startswith("she is ")
        assert "example.org" not in answer

    async def test_a_kept_answer_is_told_again_either_way(
        self, client: anthropic.Anthropic, upstream: RemoteUpstream
    ) -> None:
        question = [{"role": "user", "content": f"once {uuid4().hex}"}]
        first = asked(client, "claude-cached", messages=question)

        async def is_kept() -> bool:
            raw = client.messages.with_raw_response.create(
                model="claude-cached", max_tokens=100, messages=question
            )
            return raw.headers["x-meshgate-attempts"] == "0"

        await until(is_kept)
        with client.messages.stream(
            model="claude-cached", max_tokens=100, messages=question
        ) as stream:
            again = stream.get_final_message()

        assert text_of(again) == text_of(first) == DEFAULT_TEXT
        assert again.stop_reason == "end_turn"
