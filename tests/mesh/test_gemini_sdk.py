"""What users of the google-genai SDK get, with nothing changed but base_url and key."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from gateway_process import ADMIN_KEY, KEY, SMALL_KEY, Gateway
from google import genai
from google.genai import errors, types
from mesh.administration import Admin
from mesh.books import recorded
from mesh.shared_gateways import MESH_AND_COMPACT
from plain_http import TRUSTS_NOBODY
from upstream import Behaviour, Cut, ErrorEvent, Match, Refuse, RemoteUpstream, ToolCall, Usage
from upstream.behaviours import DEFAULT_TEXT

pytestmark = [pytest.mark.mesh, MESH_AND_COMPACT]

GEMINI = "gemini-3-flash-preview"
OPENAI = "gpt-4o-mini"
BOTH = pytest.mark.parametrize("model", [GEMINI, OPENAI])
WEATHER = types.FunctionDeclaration(
    name="get_weather",
    description="The weather of a city.",
    parameters=types.Schema(
        type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}
    ),
)
SIGNATURE = base64.b64encode(b"\x00what Gemini thought\xff").decode()


def client_of(gateway: Gateway, key: str = KEY, api_version: str | None = None) -> genai.Client:
    options = types.HttpOptions(
        base_url=gateway.base_url,
        api_version=api_version,
        timeout=60_000,
        client_args={"trust_env": False, "verify": TRUSTS_NOBODY},
        async_client_args={"ssl": TRUSTS_NOBODY},
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    return genai.Client(api_key=key, vertexai=False, http_options=options)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[genai.Client]:
    with client_of(gateway) as client:
        yield client


@pytest.fixture
def openai_client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with (
        httpx.Client(trust_env=False, verify=TRUSTS_NOBODY) as http,
        openai.OpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=KEY, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


@BOTH
def test_content_is_generated_with_usage(client: genai.Client, model: str) -> None:
    answer = client.models.generate_content(model=model, contents="hello")

    assert answer.text == DEFAULT_TEXT
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.candidates_token_count == 9
    assert answer.response_id


async def test_geminis_own_bodies_pass_untouched(
    client: genai.Client, upstream: RemoteUpstream
) -> None:
    client.models.generate_content(
        model=GEMINI,
        contents="hello",
        config=types.GenerateContentConfig(
            system_instruction="be brief",
            safety_settings=[
                types.SafetySetting(
                    category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                    threshold=types.HarmBlockThreshold.BLOCK_ONLY_HIGH,
                )
            ],
            tools=[types.Tool(google_search=types.GoogleSearch())],
        ),
    )

    [request] = await upstream.requests()
    assert request.path == f"/v1beta/models/{GEMINI}:generateContent"
    assert request.header("x-goog-api-key") == "sk-upstream-secret-value"
    assert "model" not in request.body
    assert request.body["tools"] == [{"googleSearch": {}}]
    assert request.body["safetySettings"][0]["threshold"] == "BLOCK_ONLY_HIGH"


@BOTH
def test_a_stream_comes_in_chunks_and_ends_with_usage(client: genai.Client, model: str) -> None:
    chunks = list(client.models.generate_content_stream(model=model, contents="hello"))

    assert "".join(chunk.text or "" for chunk in chunks) == DEFAULT_TEXT
    assert len(chunks) > 1
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.candidates_token_count == 9


@BOTH
async def test_who_does_not_ask_for_events_gets_an_array(gateway: Gateway, model: str) -> None:
    async with gateway.client() as http:
        answer = await http.post(
            f"/v1beta/models/{model}:streamGenerateContent",
            json={"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
        )

    assert answer.headers["content-type"] == "application/json"
    parts = [it["candidates"][0]["content"]["parts"][0].get("text", "") for it in answer.json()]
    assert "".join(parts) == DEFAULT_TEXT


@BOTH
async def test_a_round_of_function_calling(
    client: genai.Client, upstream: RemoteUpstream, model: str
) -> None:
    call = ToolCall("get_weather", '{"city": "Paris"}')
    await upstream.script("weather", Behaviour(tool_calls=(call,), signature=SIGNATURE), times=1)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[WEATHER])])
    asked = types.UserContent("the weather in Paris?")

    answer = client.models.generate_content(model=model, contents=[asked], config=config)
    assert answer.function_calls is not None
    wanted = answer.function_calls[0]
    assert answer.candidates is not None
    said = answer.candidates[0].content
    assert said is not None
    result = types.Part(
        function_response=types.FunctionResponse(
            id=wanted.id, name=wanted.name, response={"output": "sunny"}
        )
    )
    last = client.models.generate_content(
        model=model, contents=[asked, said, types.UserContent(result)], config=config
    )

    assert (wanted.name, wanted.args) == ("get_weather", {"city": "Paris"})
    assert last.text == DEFAULT_TEXT
    request = (await upstream.requests())[-1]
    if model == GEMINI:
        signature = request.body["contents"][1]["parts"][0]["thoughtSignature"]
        assert base64.urlsafe_b64decode(signature) == base64.b64decode(SIGNATURE)
    else:
        assert request.body["messages"][1]["tool_calls"][0]["id"] == wanted.id
        assert request.body["messages"][2]["content"] == "sunny"


async def test_a_round_that_began_with_an_upstream_that_signs_nothing_ends_with_gemini_3(
    client: genai.Client, upstream: RemoteUpstream
) -> None:
    call = ToolCall("get_weather", '{"city": "Paris"}')
    await upstream.script("weather", Behaviour(tool_calls=(call,)), times=1)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[WEATHER])])
    asked = types.UserContent("the weather in Paris?")

    answer = client.models.generate_content(model=OPENAI, contents=[asked], config=config)
    assert answer.function_calls is not None
    assert answer.candidates is not None
    said = answer.candidates[0].content
    assert said is not None
    result = types.Part(
        function_response=types.FunctionResponse(
            id=answer.function_calls[0].id, name="get_weather", response={"output": "sunny"}
        )
    )
    last = client.models.generate_content(
        model=GEMINI, contents=[asked, said, types.UserContent(result)], config=config
    )

    assert last.text == DEFAULT_TEXT


async def test_functions_stream_whole_from_fragments(
    client: genai.Client, upstream: RemoteUpstream
) -> None:
    calls = (ToolCall("get_weather", '{"city": "Paris"}'), ToolCall("get_weather", "{}"))
    await upstream.script("weather", Behaviour(tool_calls=calls, chunks=5))
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[WEATHER])])

    chunks = client.models.generate_content_stream(
        model=OPENAI, contents="the weather?", config=config
    )

    told = [call.args for chunk in chunks for call in chunk.function_calls or ()]
    assert told == [{"city": "Paris"}, {}]


async def test_json_by_a_schema(client: genai.Client, upstream: RemoteUpstream) -> None:
    await upstream.script(Match(), Behaviour(text='{"name": "Ada"}'))
    config = types.GenerateContentConfig(
        response_mime_type="application/json",
        response_schema=types.Schema(
            type=types.Type.OBJECT, properties={"name": types.Schema(type=types.Type.STRING)}
        ),
    )

    answers = [
        client.models.generate_content(model=model, contents="who?", config=config)
        for model in (GEMINI, OPENAI)
    ]

    assert [answer.text for answer in answers] == ['{"name": "Ada"}'] * 2
    schema = (await upstream.requests())[1].body["response_format"]["json_schema"]["schema"]
    assert schema == {"type": "object", "properties": {"name": {"type": "string"}}}


@pytest.mark.parametrize("model", ["gemini-embedding-001", "text-embedding-3-small"])
def test_contents_are_embedded(client: genai.Client, model: str) -> None:
    answer = client.models.embed_content(
        model=model,
        contents=["one", "two"],
        config=types.EmbedContentConfig(output_dimensionality=4),
    )

    assert answer.embeddings is not None
    assert [len(each.values or ()) for each in answer.embeddings] == [4, 4]
    assert answer.embeddings[0].values != answer.embeddings[1].values


@pytest.mark.parametrize("model", ["gemini-embedding-001", "text-embedding-3-small"])
async def test_a_single_content_is_embedded(gateway: Gateway, model: str) -> None:
    async with gateway.client() as http:
        answer = await http.post(
            f"/v1beta/models/{model}:embedContent", json={"content": {"parts": [{"text": "one"}]}}
        )

    assert len(answer.json()["embedding"]["values"]) == 8


@pytest.mark.parametrize("encoding_format", ["float", "base64"])
def test_openais_callers_embed_with_gemini(
    openai_client: openai.OpenAI, encoding_format: Any
) -> None:
    answer = openai_client.embeddings.create(
        model="gemini-embedding-001", input=["one", "two"], encoding_format=encoding_format
    )

    assert [item.index for item in answer.data] == [0, 1]
    assert answer.model == "gemini-embedding-001"
    is_text = isinstance(answer.data[0].embedding, str)
    assert is_text is (encoding_format == "base64")


@BOTH
def test_tokens_are_counted(client: genai.Client, model: str) -> None:
    answer = client.models.count_tokens(model=model, contents="one two three")

    assert answer.total_tokens is not None
    assert 3 <= answer.total_tokens <= 12


def test_older_sdks_call_another_version(gateway: Gateway) -> None:
    with client_of(gateway, api_version="v1beta") as client:
        answer = client.models.generate_content(model=GEMINI, contents="hello")
        names = [model.name for model in client.models.list()]
        found = client.models.get(model=GEMINI).name

    assert answer.text == DEFAULT_TEXT
    assert found == f"models/{GEMINI}"
    assert found in names


def test_models_are_listed_and_found(client: genai.Client) -> None:
    names = [model.name for model in client.models.list()]

    assert f"models/{GEMINI}" in names
    assert client.models.get(model=GEMINI).name == f"models/{GEMINI}"
    assert client.models.get(model="vendor/demo").name == "models/vendor/demo"


@pytest.mark.parametrize(
    ("refuse", "expected"),
    [
        (Refuse(400, message="bad"), (errors.ClientError, 400, "INVALID_ARGUMENT")),
        (Refuse(429, retry_after="7"), (errors.ClientError, 429, "RESOURCE_EXHAUSTED")),
        (Refuse(503), (errors.ServerError, 503, "UNAVAILABLE")),
        (Refuse(500), (errors.ServerError, 502, "INTERNAL")),
    ],
)
@BOTH
async def test_errors_have_the_sdks_classes(
    client: genai.Client,
    upstream: RemoteUpstream,
    model: str,
    refuse: Refuse,
    expected: tuple[type[errors.APIError], int, str],
) -> None:
    await upstream.script("fail", Behaviour(fault=refuse))

    with pytest.raises(errors.APIError) as raised:
        client.models.generate_content(model=model, contents="fail")

    error = raised.value
    assert (type(error), error.code, error.status) == expected


async def test_google_says_in_the_body_when_to_come_back(
    gateway: Gateway, upstream: RemoteUpstream
) -> None:
    await upstream.script("slow down", Behaviour(fault=Refuse(429, retry_after="7.5")))

    async with gateway.client() as http:
        answer = await http.post(
            f"/v1beta/models/{GEMINI}:generateContent",
            json={"contents": [{"parts": [{"text": "slow down"}]}]},
        )

    assert answer.headers["retry-after"] == "8"
    assert {"retryDelay": "7.5s"}.items() <= answer.json()["error"]["details"][-1].items()


def test_wrong_keys_and_models_are_told_apart(gateway: Gateway, client: genai.Client) -> None:
    with client_of(gateway, "mg-wrong") as stranger, pytest.raises(errors.ClientError) as unknown:
        stranger.models.generate_content(model=GEMINI, contents="hello")
    with client_of(gateway, SMALL_KEY) as small, pytest.raises(errors.ClientError) as forbidden:
        small.models.generate_content(model=GEMINI, contents="hello")
    with pytest.raises(errors.ClientError) as missing:
        client.models.generate_content(model="no-such-model", contents="hello")

    assert unknown.value.status == "UNAUTHENTICATED"
    assert forbidden.value.status == "PERMISSION_DENIED"
    assert missing.value.status == "NOT_FOUND"


def test_a_key_in_the_url_is_refused_with_words_that_help_and_reaches_no_log(
    gateway: Gateway,
) -> None:
    url = f"{gateway.base_url}/v1beta/models/{GEMINI}:generateContent?key={KEY}"

    answer = httpx.post(url, json={"contents": []}, trust_env=False)

    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (401, "UNAUTHENTICATED")
    assert "in the URL is not taken" in error["message"]
    assert "x-goog-api-key" in error["message"]
    assert KEY not in answer.text + gateway.logs()


@BOTH
@pytest.mark.parametrize("fault", [Cut(after_events=2), ErrorEvent(after_events=2)])
async def test_a_stream_that_breaks_off_raises(
    client: genai.Client, upstream: RemoteUpstream, model: str, fault: Cut | ErrorEvent
) -> None:
    await upstream.script("break", Behaviour(fault=fault))

    chunks = []
    with pytest.raises(errors.APIError):
        chunks.extend(client.models.generate_content_stream(model=model, contents="break"))


def test_what_openai_cannot_do_is_named(client: genai.Client) -> None:
    config = types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())])

    with pytest.raises(errors.ClientError, match="googleSearch"):
        client.models.generate_content(model=OPENAI, contents="hello", config=config)


async def test_openais_callers_chat_with_gemini(
    openai_client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    await upstream.script(Match(), Behaviour(usage=Usage(20, 12, 5, 3), thought="hm"))

    answer = openai_client.chat.completions.create(
        model=GEMINI, messages=[{"role": "user", "content": "hello"}], max_tokens=50
    )

    assert answer.choices[0].message.content == DEFAULT_TEXT
    assert answer.choices[0].message.model_dump()["reasoning_content"] == "hm"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (20, 12)
    [request] = await upstream.requests()
    assert request.body["generationConfig"] == {"maxOutputTokens": 50}


async def test_usage_is_booked_as_google_counts_it(
    gateway: Gateway, upstream: RemoteUpstream
) -> None:
    async with gateway.client(ADMIN_KEY) as admin:
        key_id, key = await Admin(admin).key()
    await upstream.script(Match(), Behaviour(usage=Usage(20, 12, 5, 3)))

    with client_of(gateway, key) as client:
        client.models.generate_content(model=GEMINI, contents="hello")
        list(client.models.generate_content_stream(model=GEMINI, contents="hello"))
        client.models.count_tokens(model=GEMINI, contents="hello")

    usages = [record.charges[0].usage for record in await recorded(gateway, key_id, 3)]
    counts = sorted(
        (it.input_tokens, it.cached_input_tokens, it.output_tokens, it.reasoning_tokens)
        for it in usages
    )
    assert counts == [(0, 0, 0, 0), (20, 5, 12, 3), (20, 5, 12, 3)]


async def test_openais_callers_stream_from_gemini(
    openai_client: openai.OpenAI, upstream: RemoteUpstream
) -> None:
    chunks = list(
        openai_client.chat.completions.create(
            model=GEMINI, messages=[{"role": "user", "content": "hello"}], stream=True
        )
    )

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == DEFAULT_TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_kept_answer_is_told_again_as_a_stream(
    client: genai.Client, upstream: RemoteUpstream
) -> None:
    asked = "what is kept, and told again?"
    await upstream.script(Match(), Behaviour(signature=SIGNATURE))
    streamed = list(client.models.generate_content_stream(model="gemini-cached", contents=asked))

    plain = client.models.generate_content(model="gemini-cached", contents=asked)
    again = list(client.models.generate_content_stream(model="gemini-cached", contents=asked))

    assert plain.text == "".join(chunk.text or "" for chunk in streamed) == DEFAULT_TEXT
    assert "".join(chunk.text or "" for chunk in again) == DEFAULT_TEXT
    assert len(await upstream.requests()) == 1


async def test_guardrails_look_at_geminis_contents(
    client: genai.Client, upstream: RemoteUpstream
) -> None:
    await upstream.script(Match(), Behaviour(text="write to ada@example.com soon", chunks=6))

    answer = client.models.generate_content(model="gemini-guarded", contents="to bob@example.com")
    chunks = client.models.generate_content_stream(model="gemini-guarded", contents="and?")

    assert answer.text is not None
    assert "ada@example.com" not in answer.text
    assert "ada@example.com" not in "".join(chunk.text or "" for chunk in chunks)
    assert "bob@example.com" not in str((await upstream.requests())[0].body)
