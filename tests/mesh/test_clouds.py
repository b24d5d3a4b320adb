"""Applications with an OpenAI SDK at upstreams that speak something else, through a whole gateway.

openai SDK -> Envoy -> routing -> provider -> Bedrock or Cohere, which a fake cloud plays
"""

import json
from collections.abc import Iterator

import httpx
import openai
import pytest
from gateway_process import KEY, Gateway, running_gateway
from mesh.books import records
from mesh.waiting import until
from plain_http import TRUSTS_NOBODY
from upstream.behaviours import DEFAULT_TEXT
from upstream.cloud import FakeCloud, Reply, running_cloud
from upstream.event_stream import MEDIA_TYPE, event, exception

pytestmark = pytest.mark.mesh

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
SECRET = "aws-secret-0123456789"
# Another file brings the providers; in this place it ends the models.
MODELS = f"""\
  claude-on-bedrock: {{targets: [{{provider: aws, model: "{CLAUDE}"}}], retries: {{attempts: 1}}}}
  command: {{targets: [{{provider: co, model: command-a-03-2025}}], retries: {{attempts: 1}}}}
  gpt-5: {{targets: [{{provider: az, model: my-deployment}}], retries: {{attempts: 1}}}}
include: [clouds.yaml]
"""
PROVIDERS = """\
providers:
  aws:
    kind: bedrock
    base_url: "{origin}"
    region: eu-central-1
    access_key_id: AKIDEXAMPLE
    secret_access_key: "${{env:AWS_SECRET}}"
  co: {{kind: cohere, base_url: "{origin}", api_key: "${{env:UPSTREAM_KEY}}"}}
  az:
    kind: azure
    base_url: "{origin}"
    authority: "{origin}"
    tenant_id: tenant-1
    client_id: app-1
    client_secret: "${{env:AWS_SECRET}}"
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[FakeCloud]:
    with running_cloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def gateway(
    cloud: FakeCloud, tmp_path_factory: pytest.TempPathFactory, upstream_origin: str
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("clouds")
    (directory / "clouds.yaml").write_text(PROVIDERS.format(origin=cloud.origin))
    variables = {"AWS_SECRET": SECRET}
    with running_gateway(
        directory, upstream_origin, "--compact", variables=variables, models=MODELS
    ) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway, cloud: FakeCloud) -> Iterator[openai.OpenAI]:
    cloud.forget()
    with (
        httpx.Client(trust_env=False, verify=TRUSTS_NOBODY) as http,
        openai.OpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=KEY, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


def test_a_question_to_claude_on_bedrock_is_answered(
    client: openai.OpenAI, cloud: FakeCloud
) -> None:
    answer = client.chat.completions.create(
        model="claude-on-bedrock",
        messages=[{"role": "system", "content": "Be brief."}, *HELLO],
        max_tokens=99,
    )

    assert answer.choices[0].message.content == DEFAULT_TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == CLAUDE
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 17
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 3
    [request] = cloud.requests
    assert request.path == f"/model/{CLAUDE.replace(':', '%3A')}/converse"
    assert "AKIDEXAMPLE/" in str(request.header("authorization"))
    assert request.body["system"] == [{"text": "Be brief."}]


def test_a_stream_of_claude_on_bedrock_is_told_word_by_word(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="claude-on-bedrock",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    texts = [it.choices[0].delta.content for it in chunks if it.choices]
    assert "".join(text or "" for text in texts) == DEFAULT_TEXT
    assert len([text for text in texts if text]) > 1
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 9
    assert {chunk.model for chunk in chunks} == {CLAUDE}


@pytest.mark.parametrize("stream", [False, True])
def test_claude_on_bedrock_calls_tools(client: openai.OpenAI, *, stream: bool) -> None:
    arguments = ""
    if stream:
        for chunk in client.chat.completions.create(
            model="claude-on-bedrock", messages=HELLO, tools=[TOOL], stream=True
        ):
            for call in chunk.choices[0].delta.tool_calls or []:
                arguments += (call.function and call.function.arguments) or ""
    else:
        answer = client.chat.completions.create(
            model="claude-on-bedrock", messages=HELLO, tools=[TOOL]
        )
        [call] = answer.choices[0].message.tool_calls or []
        arguments = call.function.arguments
        assert answer.choices[0].finish_reason == "tool_calls"

    assert json.loads(arguments) == {"city": "Paris"}


def test_what_bedrock_cannot_be_told_is_refused_by_name(
    client: openai.OpenAI, cloud: FakeCloud
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="claude-on-bedrock", messages=HELLO, seed=7)

    assert refused.value.param == "seed"
    assert cloud.requests == []


def test_a_throttled_bedrock_is_a_rate_limit_to_the_sdk(
    client: openai.OpenAI, cloud: FakeCloud
) -> None:
    header = ("x-amzn-errortype", "ThrottlingException")
    cloud.reply("/converse", Reply(429, {"message": "Too many requests"}, [header]))

    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="claude-on-bedrock", messages=HELLO)


def test_an_exception_within_bedrocks_stream_is_an_error_to_the_sdk(
    client: openai.OpenAI, cloud: FakeCloud
) -> None:
    text = event("contentBlockDelta", delta={"text": "Hi"}, contentBlockIndex=0)
    broken = exception("modelStreamErrorException", "it broke")
    pieces = [event("messageStart", role="assistant"), text, broken]
    cloud.reply("/converse-stream", Reply(pieces=pieces, media_type=MEDIA_TYPE))

    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="claude-on-bedrock", messages=HELLO, stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_a_question_to_cohere_is_answered(
    client: openai.OpenAI, cloud: FakeCloud, *, stream: bool
) -> None:
    if stream:
        chunks = client.chat.completions.create(model="command", messages=HELLO, stream=True)
        text = "".join(it.choices[0].delta.content or "" for it in chunks)
    else:
        answer = client.chat.completions.create(model="command", messages=HELLO)
        text = answer.choices[0].message.content or ""
        assert answer.model == "command-a-03-2025"

    assert text == DEFAULT_TEXT
    assert cloud.requests[0].path == "/v2/chat"


async def test_langchain_gets_a_form_by_a_tool_from_cohere(
    gateway: Gateway, cloud: FakeCloud
) -> None:
    from mesh.frameworks import Frameworks, Place  # noqa: PLC0415 - slow to import

    call = {"name": "Place", "arguments": '{"city": "Paris"}'}
    message = {
        "role": "assistant",
        "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
    }
    cloud.forget()
    cloud.reply("/v2/chat", Reply(body={"finish_reason": "TOOL_CALL", "message": message}))
    frameworks = Frameworks(gateway)

    place = await frameworks.get("langchain chat", "command").place("where?", "by tool")

    await frameworks.close()
    assert place == Place(city="Paris")
    [request] = cloud.requests
    assert (request.body["tool_choice"], len(request.body["tools"])) == ("REQUIRED", 1)
    assert "parallel_tool_calls" not in request.body


def test_azure_is_asked_with_a_token(client: openai.OpenAI, cloud: FakeCloud) -> None:
    cloud.reply("/tenant-1/oauth2/v2.0/token", Reply(body={"access_token": "at-1"}))

    answer = client.chat.completions.create(model="gpt-5", messages=HELLO)

    assert answer.choices[0].message.content == DEFAULT_TEXT
    assert cloud.requests[-1].path == "/openai/v1/chat/completions"
    assert cloud.requests[-1].header("authorization") == "Bearer at-1"
    assert cloud.requests[-1].body["model"] == "my-deployment"


async def test_what_was_billed_is_booked(gateway: Gateway, cloud: FakeCloud) -> None:
    cloud.forget()

    async with gateway.client() as http:
        for model in ("claude-on-bedrock", "command"):
            body = {"model": model, "messages": HELLO}
            answer = await http.post("/v1/chat/completions", json=body)
            assert answer.status_code == 200, answer.text

    async def are_booked() -> bool:
        used = {
            (it.provider, it.usage.input_tokens, it.usage.output_tokens, it.estimated)
            for record in records(gateway)
            for it in record.charges
        }
        return {("aws", 17, 9, False), ("co", 5, 9, False)} <= used

    await until(are_booked)


def test_secrets_are_in_no_log(gateway: Gateway) -> None:
    assert SECRET not in gateway.logs()
