"""Applications on Instructor, at upstreams of several dialects, through a whole gateway."""

import base64
import json
from collections.abc import Iterator

import pytest
from gateway_process import Gateway
from mesh.framework_process import Framework, FrameworkProcess, running_framework
from upstream import Behaviour, Cut, Refuse, RemoteUpstream, ToolCall
from upstream.gemini import MADE_BY_GEMINI

pytestmark = pytest.mark.mesh

COMPACT = pytest.mark.parametrize("gateway", ["compact"], indirect=True, scope="module")
MESH = pytest.mark.parametrize("gateway", ["mesh"], indirect=True, scope="module")
GEMINI = "gemini-3-flash-preview"
MODELS = ["one-try", "responses-only", "claude", GEMINI]
# The SDK, and how Instructor asks it for a form.
WAYS = [
    "openai TOOLS",
    "openai JSON_SCHEMA",
    "openai RESPONSES_TOOLS",
    "anthropic TOOLS",
    "anthropic JSON_SCHEMA",
    "anthropic ANTHROPIC_JSON",
    "gemini GENAI_TOOLS",
    "gemini GENAI_STRUCTURED_OUTPUTS",
]
EVERY_WAY = pytest.mark.parametrize("way", WAYS)
EVERY_MODEL = pytest.mark.parametrize("model", MODELS)
SIGNATURE = base64.b64encode(MADE_BY_GEMINI).decode()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameworkProcess]:
    with running_framework("instructor", tmp_path_factory.mktemp("instructor")) as process:
        yield process


@pytest.fixture
def framework(process: FrameworkProcess, gateway: Gateway) -> Framework:
    return Framework(process, gateway)


def by(way: str, model: str) -> dict[str, str]:
    sdk, mode = way.split()
    return {"sdk": sdk, "mode": mode, "model": model}


def filled(way: str, form: str, value: object) -> Behaviour:
    """A model that fills in a form in the way in which it is asked to."""
    text = json.dumps(value)
    if "TOOLS" not in way:
        return Behaviour(text=text)
    return Behaviour(tool_calls=(ToolCall(form, text),), signature=SIGNATURE)


@COMPACT
@EVERY_WAY
@EVERY_MODEL
async def test_an_answer_has_the_form_of_the_applications_own_class(
    framework: Framework, upstream: RemoteUpstream, way: str, model: str
) -> None:
    await upstream.script("where", filled(way, "Place", {"city": "Paris"}))

    whole = framework.ask("place", "where?", **by(way, model))
    pieces = framework.ask("place_in_pieces", "where?", **by(way, model))

    assert whole == pieces[-1] == "Paris"
    assert all("Paris".startswith(piece or "") for piece in pieces)


@COMPACT
@EVERY_WAY
@EVERY_MODEL
async def test_a_list_is_streamed(
    framework: Framework, upstream: RemoteUpstream, way: str, model: str
) -> None:
    cities = {"tasks": [{"city": "Paris"}, {"city": "Rome"}]}
    await upstream.script("where", filled(way, "IterablePlace", cities))

    assert framework.ask("places", "where?", **by(way, model)) == ["Paris", "Rome"]


@COMPACT
@EVERY_WAY
@EVERY_MODEL
async def test_what_is_not_valid_is_asked_for_again(
    framework: Framework, upstream: RemoteUpstream, way: str, model: str
) -> None:
    await upstream.script("where", filled(way, "Town", {"city": "paris"}), times=1)
    await upstream.script("where", filled(way, "Town", {"city": "Paris"}))

    town = framework.ask("town", "where?", **by(way, model))

    assert town == "Paris"
    first, again = await upstream.requests()
    assert b"begins with a capital" not in first.raw_body
    assert b"begins with a capital" in again.raw_body


@COMPACT
@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
@EVERY_MODEL
async def test_several_tools_are_called_at_once(
    framework: Framework, upstream: RemoteUpstream, sdk: str, model: str
) -> None:
    calls = (ToolCall("Weather", '{"city": "Paris"}'), ToolCall("Place", '{"city": "Rome"}'))
    await upstream.script("where", Behaviour(tool_calls=calls))

    called = framework.ask("calls", "where?", **by(f"{sdk} PARALLEL_TOOLS", model))

    assert called == [["Weather", "Paris"], ["Place", "Rome"]]


@COMPACT
@pytest.mark.parametrize("model", ["one-try", "claude"])
@pytest.mark.parametrize(
    ("way", "status", "error"),
    [
        ("openai TOOLS", 400, "openai.BadRequestError"),
        ("openai TOOLS", 429, "openai.RateLimitError"),
        ("openai RESPONSES_TOOLS", 429, "openai.RateLimitError"),
        ("anthropic TOOLS", 400, "anthropic.BadRequestError"),
        ("anthropic TOOLS", 429, "anthropic.RateLimitError"),
        ("gemini GENAI_TOOLS", 400, "google.genai.errors.ClientError"),
        ("gemini GENAI_TOOLS", 429, "google.genai.errors.ClientError"),
    ],
)
async def test_what_the_upstream_refuses_is_the_sdks_own_error(
    framework: Framework, upstream: RemoteUpstream, way: str, status: int, error: str, model: str
) -> None:
    await upstream.script("where", Behaviour(fault=Refuse(status)))

    failure = framework.failure("place", "where?", **by(way, model))

    assert error in failure.classes


@COMPACT
@pytest.mark.parametrize("model", ["one-try", "claude"])
@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("openai JSON_SCHEMA", "openai.APIError"),
        ("anthropic JSON_SCHEMA", "anthropic.APIError"),
        ("gemini GENAI_STRUCTURED_OUTPUTS", "google.genai.errors.APIError"),
    ],
)
async def test_a_stream_that_breaks_off_never_looks_complete(
    framework: Framework, upstream: RemoteUpstream, way: str, error: str, model: str
) -> None:
    broken = Behaviour(text='{"city": "Paris"}', fault=Cut(after_events=3))
    await upstream.script("where", broken)

    failure = framework.failure("place_in_pieces", "where?", **by(way, model))

    assert error in failure.classes


@MESH
@pytest.mark.parametrize("way", ["openai TOOLS", "anthropic JSON_SCHEMA"])
async def test_a_mesh_serves_it_alike(
    framework: Framework, upstream: RemoteUpstream, way: str
) -> None:
    await upstream.script("where", filled(way, "Town", {"city": "paris"}), times=1)
    await upstream.script("where", filled(way, "Town", {"city": "Paris"}))

    assert framework.ask("town", "where?", **by(way, GEMINI)) == "Paris"
