"""Applications on LlamaIndex, at upstreams of several dialects, through a whole gateway."""

import base64
from collections.abc import Iterator

import pytest
from gateway_process import Gateway
from mesh.framework_process import Framework, FrameworkProcess, running_framework
from upstream import Behaviour, Cut, Refuse, RemoteUpstream, ToolCall
from upstream.behaviours import DEFAULT_TEXT
from upstream.gemini import MADE_BY_GEMINI

pytestmark = pytest.mark.mesh

COMPACT = pytest.mark.parametrize("gateway", ["compact"], indirect=True, scope="module")
MESH = pytest.mark.parametrize("gateway", ["mesh"], indirect=True, scope="module")
GEMINI = "gemini-3-flash-preview"
MODELS = ["one-try", "responses-only", "claude", GEMINI]
EVERY_MODEL = pytest.mark.parametrize("model", MODELS)
# What it speaks; one class of models is for each.
KINDS = ["chat", "responses", "messages", "gemini"]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
# Those that ask for a form by its schema, and by a tool.
BY_SCHEMA = ["chat with schemas", "responses", "gemini"]
BY_TOOL = ["chat", "messages"]
SIGNATURE = base64.b64encode(MADE_BY_GEMINI).decode()
PARIS = '{"city": "Paris"}'
WEATHER = Behaviour(
    tool_calls=(ToolCall("get_weather", PARIS), ToolCall("get_weather", '{"city": "Rome"}')),
    signature=SIGNATURE,
)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameworkProcess]:
    with running_framework("llama-index", tmp_path_factory.mktemp("llama-index")) as process:
        yield process


@pytest.fixture
def framework(process: FrameworkProcess, gateway: Gateway) -> Framework:
    return Framework(process, gateway)


@COMPACT
@EVERY_KIND
@EVERY_MODEL
async def test_a_question_is_answered_whole_and_in_pieces(
    framework: Framework, kind: str, model: str
) -> None:
    answer = framework.ask("answer", "hello", kind=kind, model=model)
    pieces = framework.ask("answer_in_pieces", "hello", kind=kind, model=model)

    assert answer == "".join(pieces) == DEFAULT_TEXT
    assert len(pieces) > 1


@COMPACT
@EVERY_KIND
@EVERY_MODEL
@pytest.mark.parametrize("task", ["answer_with_tools", "answer_of_an_agent"])
async def test_a_round_of_tools(
    framework: Framework, upstream: RemoteUpstream, kind: str, model: str, task: str
) -> None:
    await upstream.script("weather", WEATHER, times=1)

    answer, cities = framework.ask(task, "the weather?", kind=kind, model=model)

    assert answer == DEFAULT_TEXT
    assert sorted(cities) == ["Paris", "Rome"]
    last = (await upstream.requests())[-1].raw_body
    assert b"sunny in Paris" in last
    assert b"sunny in Rome" in last


@COMPACT
@EVERY_MODEL
@pytest.mark.parametrize("kind", BY_SCHEMA)
async def test_an_answer_has_the_form_of_the_applications_own_class_by_its_schema(
    framework: Framework, upstream: RemoteUpstream, kind: str, model: str
) -> None:
    await upstream.script("where", Behaviour(text=PARIS))

    assert framework.ask("place", "where?", kind=kind, model=model) == "Paris"


@COMPACT
@EVERY_MODEL
@pytest.mark.parametrize("kind", ["chat with schemas", "gemini"])
async def test_a_form_is_filled_in_piece_by_piece(
    framework: Framework, upstream: RemoteUpstream, kind: str, model: str
) -> None:
    await upstream.script("where", Behaviour(text=PARIS))

    pieces = framework.ask("place_in_pieces", "where?", kind=kind, model=model)

    assert pieces[-1] == "Paris"
    assert all("Paris".startswith(piece or "") for piece in pieces)


@COMPACT
@EVERY_MODEL
@pytest.mark.parametrize("kind", BY_TOOL)
async def test_an_answer_has_the_form_of_the_applications_own_class_by_a_tool(
    framework: Framework, upstream: RemoteUpstream, kind: str, model: str
) -> None:
    call = Behaviour(tool_calls=(ToolCall("Place", PARIS),), signature=SIGNATURE)
    await upstream.script("where", call)

    assert framework.ask("place", "where?", kind=kind, model=model) == "Paris"


@COMPACT
@pytest.mark.parametrize("model", ["one-try", "claude"])
@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("chat", 400, "openai.BadRequestError"),
        ("chat", 429, "openai.RateLimitError"),
        ("responses", 429, "openai.RateLimitError"),
        ("messages", 400, "anthropic.BadRequestError"),
        ("messages", 429, "anthropic.RateLimitError"),
        ("gemini", 400, "google.genai.errors.ClientError"),
        ("gemini", 429, "google.genai.errors.ClientError"),
    ],
)
async def test_what_the_upstream_refuses_is_the_sdks_own_error(
    framework: Framework, upstream: RemoteUpstream, kind: str, status: int, error: str, model: str
) -> None:
    await upstream.script("hello", Behaviour(fault=Refuse(status)))

    failure = framework.failure("answer", "hello", kind=kind, model=model)

    assert error in failure.classes


@COMPACT
@pytest.mark.parametrize("model", ["one-try", "claude"])
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("chat", "openai.APIError"),
        ("responses", "openai.APIError"),
        ("messages", "anthropic.APIError"),
        ("gemini", "google.genai.errors.APIError"),
    ],
)
async def test_a_stream_that_breaks_off_never_looks_complete(
    framework: Framework, upstream: RemoteUpstream, kind: str, error: str, model: str
) -> None:
    await upstream.script("hello", Behaviour(fault=Cut(after_events=3)))

    failure = framework.failure("answer_in_pieces", "hello", kind=kind, model=model)

    assert error in failure.classes


@MESH
@pytest.mark.parametrize("kind", ["chat", "messages"])
async def test_a_mesh_serves_it_alike(
    framework: Framework, upstream: RemoteUpstream, kind: str
) -> None:
    await upstream.script("weather", WEATHER, times=1)

    task = "answer_of_an_agent"
    answer, cities = framework.ask(task, "the weather?", kind=kind, model=GEMINI)

    assert answer == DEFAULT_TEXT
    assert sorted(cities) == ["Paris", "Rome"]
