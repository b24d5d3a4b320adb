"""What users of the openai SDK get of `client.responses`, with nothing changed but base_url and key.

The same upstream is asked by its responses, and by its chat completions as one that has no others.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from gateway_process import SMALL_KEY, Gateway
from mesh.shared_gateways import MESH_AND_COMPACT
from plain_http import TRUSTS_NOBODY
from pydantic import BaseModel
from upstream import Behaviour, Cut, ErrorEvent, Refuse, RemoteUpstream, ToolCall
from upstream.behaviours import DEFAULT_TEXT, Usage

from meshgate.dialects.openai_responses import grammar

pytestmark = [pytest.mark.mesh, MESH_AND_COMPACT]

PASSED, TRANSLATED = "responses", "responses-translated"
BOTH = pytest.mark.parametrize("model", [PASSED, TRANSLATED])
PATHS = {PASSED: "/v1/responses", TRANSLATED: "/v1/chat/completions"}
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
CALLING = Behaviour(tool_calls=(ToolCall("get_weather", '{"city": "Paris"}'),))
# As the models are priced: 600 * 1 + 400 * 0.5 + 100 * 2 millionths of a dollar.
USED = Usage(1000, 100, cached_input_tokens=400, reasoning_tokens=30)
COST = "0.001"


class Place(BaseModel):
    city: str


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with (
        httpx.Client(trust_env=False, verify=TRUSTS_NOBODY) as http,
        openai.OpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=gateway.key, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


@BOTH
async def test_a_question_is_answered_with_usage(
    client: openai.OpenAI, upstream: RemoteUpstream, model: str
) -> None:
    await upstream.script("hello", Behaviour(usage=USED))

    raw = client.responses.with_raw_response.create(
        model=model, input="hello", instructions="Be brief."
    )

    answer = raw.parse()
    assert (answer.output_text, answer.status) == (DEFAULT_TEXT, "completed")
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.cached_tokens == 400
    assert answer.usage.output_tokens_details.reasoning_tokens == 30
    assert answer.usage.total_tokens == 1100
    assert raw.headers["x-meshgate-cost-usd"] == COST
    [request] = await upstream.requests()
    assert request.path == PATHS[model]
    assert request.body["model"] == "up-1"


async def test_what_the_sdk_sends_by_default_is_not_stored(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    answer = client.responses.create(
        model=PASSED, input="hello", extra_body={"tomorrow": {"model": 1.0}}
    )

    [request] = await upstream.requests()
    assert request.body == {
        "model": "up-1",
        "input": "hello",
        "tomorrow": {"model": 1.0},
        "store": False,
    }
    assert answer.model_extra is not None
    assert answer.model_extra["store"] is False


@BOTH
async def test_a_stream_is_told_event_by_event_and_as_a_whole(
    client: openai.OpenAI, model: str
) -> None:
    with client.responses.stream(model=model, input="hello") as stream:
        events = list(stream)
        final = stream.get_final_response()

    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == final.output_text == DEFAULT_TEXT
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.usage is not None
    assert final.usage.output_tokens == 9


@pytest.mark.parametrize("behaviour", [Behaviour(usage=USED), CALLING])
@pytest.mark.parametrize("model", [PASSED, TRANSLATED, "responses-only"])
async def test_streams_obey_the_grammar_of_the_api_and_tell_their_cost(
    gateway: Gateway, upstream: RemoteUpstream, model: str, behaviour: Behaviour
) -> None:
    await upstream.script("hello", behaviour)
    asked = {"model": model, "input": "hello", "stream": True, "tools": [TOOL]}

    async with gateway.client() as client:
        headers = {"x-meshgate-include-cost": "true"}
        answer = await client.post("/v1/responses", json=asked, headers=headers)

    grammar.check(answer.content)
    end = json.loads(answer.text.rpartition("data: ")[2])["response"]
    assert end["usage"]["output_tokens"] > 0
    assert float(end["meshgate"]["cost_usd"]) > 0
    if behaviour.usage is USED:
        assert end["meshgate"]["cost_usd"] == COST


@BOTH
async def test_a_large_answer_is_told_again_at_the_end(
    client: openai.OpenAI, upstream: RemoteUpstream, model: str
) -> None:
    await upstream.script("hello", Behaviour(text="word ", text_bytes=5 * 2**20, chunks=40))

    with client.responses.stream(model=model, input="hello") as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()

    assert len(final.output_text) == 5 * 2**20
    assert "".join(pieces) == final.output_text


@BOTH
async def test_an_answer_is_parsed_into_a_model(
    client: openai.OpenAI, upstream: RemoteUpstream, model: str
) -> None:
    await upstream.script("where", Behaviour(text='{"city":"Paris"}'))

    answer = client.responses.parse(model=model, input="where?", text_format=Place)
    with client.responses.stream(model=model, input="where?", text_format=Place) as stream:
        streamed = stream.get_final_response()

    assert answer.output_parsed == streamed.output_parsed == Place(city="Paris")
    request = (await upstream.requests())[0].body
    wanted = (
        request["response_format"]["json_schema"]
        if model == TRANSLATED
        else request["text"]["format"]
    )
    assert wanted["name"] == "Place"
    assert wanted["schema"]["required"] == ["city"]


@BOTH
@pytest.mark.parametrize("form", ["plain", "streamed"])
async def test_tools_and_thoughts_go_round(
    client: openai.OpenAI, upstream: RemoteUpstream, model: str, form: str
) -> None:
    await upstream.script("weather", CALLING, times=1)
    conversation: list[Any] = [{"role": "user", "content": "the weather in Paris?"}]

    def ask() -> Any:
        asked: Any = {"model": model, "input": conversation, "tools": [TOOL]}
        asked["reasoning"] = {"effort": "low", "summary": "auto"}
        if form == "plain":
            return client.responses.create(**asked)
        with client.responses.stream(**asked) as stream:
            return stream.get_final_response()

    first = ask()
    conversation += first.output
    [call] = [item for item in first.output if item.type == "function_call"]
    conversation.append(
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    )
    second = ask()

    assert json.loads(call.arguments) == {"city": "Paris"}
    assert second.output_text == DEFAULT_TEXT
    sent = (await upstream.requests())[1].body
    if model == PASSED:  # the upstream itself refuses thoughts that came back without their seal
        assert [item.get("type") for item in sent["input"]] == [
            None,
            "reasoning",
            "function_call",
            "function_call_output",
        ]
    else:
        assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]
        assert sent["messages"][1]["tool_calls"][0]["id"] == call.call_id


async def test_a_chat_is_answered_by_a_model_that_has_responses_only(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    await upstream.script("weather", Behaviour(tool_calls=CALLING.tool_calls, usage=USED))
    asked: Any = {
        "model": "responses-only",
        "messages": [{"role": "user", "content": "weather?"}],
        "tools": [{"type": "function", "function": {"name": "get_weather"}}],
    }

    raw = client.chat.completions.with_raw_response.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True))

    answer = raw.parse()
    assert answer.choices[0].finish_reason == chunks[-1].choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"
    assert raw.headers["x-meshgate-cost-usd"] == COST
    assert {request.path for request in await upstream.requests()} == {"/v1/responses"}


@BOTH
async def test_an_answer_that_became_too_long_is_incomplete(
    client: openai.OpenAI, model: str
) -> None:
    answer = client.responses.create(model=model, input="hello", max_output_tokens=3)
    with client.responses.stream(model=model, input="hello", max_output_tokens=3) as stream:
        events = list(stream)

    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert events[-1].type == "response.incomplete"


@BOTH
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_what_the_upstream_refuses_is_the_sdks_own_error(
    client: openai.OpenAI,
    upstream: RemoteUpstream,
    model: str,
    status: int,
    error: type[openai.APIStatusError],
) -> None:
    await upstream.script("hello", Behaviour(fault=Refuse(status, message="because so")))

    with pytest.raises(error) as raised:
        client.responses.create(model=model, input="hello")
    with pytest.raises(error):
        client.responses.create(model=model, input="hello", stream=True)

    assert raised.value.request_id
    assert ("because so" in raised.value.message) == (status == 400)


@BOTH
@pytest.mark.parametrize("fault", [ErrorEvent(after_events=6), Cut(after_events=6)])
async def test_a_stream_that_breaks_raises_and_never_looks_complete(
    gateway: Gateway,
    client: openai.OpenAI,
    upstream: RemoteUpstream,
    model: str,
    fault: ErrorEvent | Cut,
) -> None:
    paced = Behaviour(fault=fault, chunks=9, event_delay_seconds=0.02)
    await upstream.script("hello", paced)
    seen: list[str] = []

    def read() -> None:
        for event in client.responses.create(model=model, input="hello", stream=True):
            seen.append(event.type)  # noqa: PERF401 - what came before the end

    with pytest.raises(openai.APIError):
        read()
    async with gateway.client() as http:
        asked = {"model": model, "input": "hello", "stream": True}
        raw = await http.post("/v1/responses", json=asked)

    assert "response.completed" not in seen
    # What comes in one read with its end is no stream that began well, but an error of its own.
    if raw.status_code == httpx.codes.OK:
        grammar.check(raw.content)
    else:
        assert raw.json()["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
    ],
)
@BOTH
def test_what_needs_stored_responses_is_refused_and_why(
    client: openai.OpenAI, model: str, members: dict[str, Any], field: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model=model, input="hello", **members)

    assert raised.value.param == field
    assert "stores none" in raised.value.message


def test_hosted_tools_are_refused_where_nobody_runs_them(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model=TRANSLATED, input="hello", tools=[{"type": "web_search"}])

    assert raised.value.param == "tools[0].type"
    assert client.responses.create(model=PASSED, input="hello", tools=[{"type": "web_search"}])


def test_errors_of_the_gateway_are_the_sdks_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="gpt-9", input="hello")
    with pytest.raises(openai.PermissionDeniedError):
        client.with_options(api_key=SMALL_KEY).responses.create(model=PASSED, input="hello")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="mg-wrong").responses.create(model=PASSED, input="hello")


async def test_a_stream_that_fails_before_the_model_speaks_is_tried_elsewhere(
    client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=ErrorEvent(after_events=2)), times=1)

    with client.responses.stream(model="responses-cached", input="hello") as stream:
        final = stream.get_final_response()

    assert final.output_text == DEFAULT_TEXT
    assert len(await upstream.requests()) == 2


async def test_an_answer_that_is_kept_is_told_plain_and_streamed(
    client: openai.OpenAI, upstream: RemoteUpstream, gateway: Gateway
) -> None:
    asked: Any = {"model": "responses-cached", "input": f"kept in {gateway.mode}"}

    first = client.responses.create(**asked)
    again = client.responses.with_raw_response.create(**asked)
    with client.responses.stream(**asked) as stream:
        streamed = stream.get_final_response()

    assert first.output_text == again.parse().output_text == streamed.output_text
    assert again.headers["x-meshgate-cost-usd"] == "0"
    assert len(await upstream.requests()) == 1


@pytest.mark.parametrize("form", ["plain", "streamed"])
async def test_what_guardrails_find_is_masked_wherever_it_is_told(
    client: openai.OpenAI, upstream: RemoteUpstream, form: str
) -> None:
    await upstream.script("whom", Behaviour(text="Write to ann@example.com today.", chunks=9))

    if form == "plain":
        answer = client.responses.create(model="responses-guarded", input="whom?")
    else:
        with client.responses.stream(model="responses-guarded", input="whom?") as stream:
            pieces = [e.delta for e in stream if e.type == "response.output_text.delta"]
            answer = stream.get_final_response()
        assert "".join(pieces) == answer.output_text

    assert "ann@example.com" not in answer.output_text
    assert answer.output_text.startswith("Write to [")
    assert answer.output_text.endswith(" today.")


@pytest.mark.parametrize("form", ["plain", "streamed"])
async def test_what_guardrails_block_is_incomplete(
    client: openai.OpenAI, upstream: RemoteUpstream, form: str
) -> None:
    secret = "AKIA" + "IOSFODNN7EXAMPLE"
    await upstream.script("key", Behaviour(text=f"It is {secret} and more.", chunks=9))

    if form == "plain":
        answer: Any = client.responses.create(model="responses-guarded", input="the key?")
    else:
        with client.responses.stream(model="responses-guarded", input="the key?") as stream:
            answer = [event.response for event in stream if event.type == "response.incomplete"][-1]

    assert answer.incomplete_details.reason == "content_filter"
    assert secret not in answer.to_json()
