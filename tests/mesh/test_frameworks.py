"""Applications on LangChain and Pydantic AI, at upstreams of several dialects, through a whole gateway."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_process import Gateway
from upstream import Behaviour, RemoteUpstream, ToolCall
from upstream.behaviours import DEFAULT_TEXT

pytestmark = pytest.mark.mesh

NAMES = [
    f"{framework} {api}"
    for framework in ("langchain", "pydantic-ai")
    for api in ("chat", "responses", "messages")
]
COMPACT = pytest.mark.parametrize("gateway", ["compact"], indirect=True, scope="module")
EVERY_FRAMEWORK = pytest.mark.parametrize("name", NAMES)
GEMINI = "gemini-3-flash-preview"
EVERY_MODEL = pytest.mark.parametrize("model", ["one-try", "claude", GEMINI])
CALLING = Behaviour(
    tool_calls=(
        ToolCall("get_weather", '{"city": "Paris"}'),
        ToolCall("get_weather", '{"city": "Rome"}'),
    )
)


@pytest.fixture
async def frameworks(gateway: Gateway) -> AsyncIterator[Any]:
    # Here, for they are slow to import and every process collects this module.
    from mesh.frameworks import Frameworks  # noqa: PLC0415

    frameworks = Frameworks(gateway)
    assert set(NAMES) == set(Frameworks.NAMES)
    yield frameworks
    await frameworks.close()


@COMPACT
@EVERY_FRAMEWORK
@EVERY_MODEL
async def test_a_question_is_answered_whole_and_in_pieces(
    frameworks: Any, name: str, model: str
) -> None:
    framework = frameworks.get(name, model)

    answer = await framework.answer("hello")
    pieces = [piece async for piece in framework.stream("hello")]

    assert answer == "".join(pieces) == DEFAULT_TEXT
    assert len(pieces) > 1


@COMPACT
@EVERY_FRAMEWORK
@EVERY_MODEL
async def test_a_round_of_tools(
    frameworks: Any, upstream: RemoteUpstream, name: str, model: str
) -> None:
    from mesh.frameworks import WeatherReport  # noqa: PLC0415 - as above

    await upstream.script("weather", CALLING, times=1)
    report = WeatherReport()

    answer = await frameworks.get(name, model).answer_with(report, "the weather?")

    assert answer == DEFAULT_TEXT
    assert sorted(report.cities) == ["Paris", "Rome"]
    last = (await upstream.requests())[-1].raw_body
    assert 0 < last.index(b"sunny in Paris") < last.index(b"sunny in Rome")


@COMPACT
@EVERY_FRAMEWORK
@EVERY_MODEL
@pytest.mark.parametrize("way", ["by schema", "by tool"])
async def test_an_answer_has_the_form_of_the_applications_own_class(
    frameworks: Any, upstream: RemoteUpstream, name: str, model: str, way: str
) -> None:
    if way == "by schema":
        await upstream.script("where", Behaviour(text='{"city": "Paris"}'))

    place = await frameworks.get(name, model).place("where?", way)

    assert place.city == "Paris"


@pytest.mark.parametrize("gateway", ["mesh"], indirect=True, scope="module")
@pytest.mark.parametrize("name", ["langchain chat", "pydantic-ai messages"])
async def test_a_mesh_serves_them_alike(
    frameworks: Any, upstream: RemoteUpstream, name: str
) -> None:
    from mesh.frameworks import WeatherReport  # noqa: PLC0415 - as above

    await upstream.script("weather", CALLING, times=1)
    report = WeatherReport()

    answer = await frameworks.get(name, GEMINI).answer_with(report, "the weather?")

    assert answer == DEFAULT_TEXT
    assert sorted(report.cities) == ["Paris", "Rome"]
