"""Every official SDK against upstreams of every dialect, through a whole gateway.

The main cases only: what one pair alone can do is told by the modules of the SDKs.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_process import Gateway
from mesh.voices import PARAMETERS, PICTURE, Asking, Form, Voices
from upstream import Behaviour, Match, RemoteUpstream, ToolCall, Usage, messages
from upstream.behaviours import DEFAULT_TEXT
from upstream.gemini import MADE_BY_GEMINI
from upstream.records import Request

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.parametrize("gateway", ["compact"], indirect=True, scope="module"),
]

CHAT, RESPONSES, CLAUDE, GEMINI = "one-try", "responses-only", "claude", "gemini-3-flash-preview"
EVERY_MODEL = pytest.mark.parametrize("model", [CHAT, RESPONSES, CLAUDE, GEMINI])
EVERY_VOICE = pytest.mark.parametrize("voice", Voices.NAMES)
BOTH_FORMS = pytest.mark.parametrize("form", ["plain", "streamed"])
TOOL = "get_weather"
SCHEMA = PARAMETERS | {"additionalProperties": False}
_STANDARD = bytes.maketrans(b"-_", b"+/")
"""Google's SDK has base64 in the other alphabet, and Google reads both."""
SIGNATURE = base64.b64encode(MADE_BY_GEMINI + b"\xff\x00").decode()
CALLING = Behaviour(
    tool_calls=(ToolCall(TOOL, '{"city": "Paris"}'), ToolCall(TOOL, '{"city": "Rome"}')),
    thought="Two cities.",
    signature=SIGNATURE,
)


@pytest.fixture(scope="module")
def voices(gateway: Gateway) -> Iterator[Voices]:
    voices = Voices(gateway)
    yield voices
    voices.close()


@EVERY_VOICE
@EVERY_MODEL
@BOTH_FORMS
async def test_a_question_is_answered_with_its_usage(
    voices: Voices, upstream: RemoteUpstream, voice: str, model: str, form: Form
) -> None:
    await upstream.script(Match(), Behaviour(usage=Usage(20, 12, 5, 3)))

    heard = voices.talk(voice, Asking(model=model, form=form)).say("hello")

    assert heard.text == DEFAULT_TEXT
    assert (heard.input_tokens, heard.cached_input_tokens, heard.output_tokens) == (20, 5, 12)


@EVERY_VOICE
@EVERY_MODEL
@BOTH_FORMS
async def test_parallel_calls_of_a_tool_go_round(
    voices: Voices, upstream: RemoteUpstream, voice: str, model: str, form: Form
) -> None:
    await upstream.script("weather", CALLING, times=1)
    talk = voices.talk(voice, Asking(model=model, form=form, tool=TOOL))

    wish = talk.say("the weather?")
    answer = talk.give(["sunny", "rain"])

    assert [(call.name, call.arguments["city"]) for call in wish.calls] == [
        (TOOL, "Paris"),
        (TOOL, "Rome"),
    ]
    assert answer.text == DEFAULT_TEXT
    told = _results(model, (await upstream.requests())[1])
    assert told == {"Paris": "sunny", "Rome": "rain"}


@EVERY_VOICE
@EVERY_MODEL
@BOTH_FORMS
async def test_thoughts_go_back_to_whoever_had_them(
    voices: Voices, upstream: RemoteUpstream, voice: str, model: str, form: Form
) -> None:
    await upstream.script("weather", CALLING, times=1)
    thoughts = "by effort" if model in (CHAT, RESPONSES) else "by budget"
    talk = voices.talk(voice, Asking(model=model, form=form, tool=TOOL, thoughts=thoughts))

    wish = talk.say("the weather?")
    results = talk.give(["sunny", "rain"])
    last = talk.say("thanks")

    assert wish.thought
    assert results.text == last.text == DEFAULT_TEXT
    assert _proofs(model, (await upstream.requests())[1]) == _PROOFS[model]


@EVERY_VOICE
@EVERY_MODEL
async def test_a_picture_arrives(
    voices: Voices, upstream: RemoteUpstream, voice: str, model: str
) -> None:
    heard = voices.talk(voice, Asking(model=model)).say("what is this?", PICTURE)

    assert heard.text == DEFAULT_TEXT
    [request] = await upstream.requests()
    assert base64.b64encode(PICTURE) in request.raw_body.translate(_STANDARD)


@EVERY_VOICE
@EVERY_MODEL
async def test_an_answer_is_asked_for_by_its_schema(
    voices: Voices, upstream: RemoteUpstream, voice: str, model: str
) -> None:
    await upstream.script("where", Behaviour(text='{"city": "Paris"}'))

    heard = voices.talk(voice, Asking(model=model, schema=SCHEMA)).say("where?")

    assert json.loads(heard.text) == {"city": "Paris"}
    [request] = await upstream.requests()
    assert _schema(model, request.body) == SCHEMA


@EVERY_VOICE
@pytest.mark.parametrize(
    ("first", "second", "thoughts"),
    [
        (GEMINI, CLAUDE, "by budget"),
        (CLAUDE, GEMINI, "by budget"),
        (RESPONSES, CLAUDE, "by effort"),
        (CLAUDE, RESPONSES, "by effort"),
        (CLAUDE, CHAT, "by effort"),
        (CHAT, GEMINI, "by effort"),
    ],
)
async def test_thoughts_of_another_provider_do_not_spoil_a_conversation(
    voices: Voices, upstream: RemoteUpstream, voice: str, first: str, second: str, thoughts: Any
) -> None:
    await upstream.script("weather", CALLING, times=1)
    talk = voices.talk(voice, Asking(model=first, tool=TOOL, thoughts=thoughts))
    talk.say("the weather?")

    talk.move(second)
    answer = talk.give(["sunny", "rain"])
    last = talk.say("thanks")

    assert answer.text == last.text == DEFAULT_TEXT
    assert _results(second, (await upstream.requests())[1]) == {"Paris": "sunny", "Rome": "rain"}


def _results(model: str, request: Request) -> dict[str, str]:
    """What the tools gave back, by the city that they were asked about."""
    body = request.body
    if model == GEMINI:
        parts = [part for content in body["contents"] for part in content["parts"]]
        calls = [it["functionCall"]["args"]["city"] for it in parts if "functionCall" in it]
        given = [it["functionResponse"]["response"] for it in parts if "functionResponse" in it]
        return dict(zip(calls, (next(iter(it.values())) for it in given), strict=True))
    cities, results = _READERS[model](body)
    return {cities[name]: result for name, result in results}


def _of_chat(body: Any) -> tuple[dict[str, str], list[tuple[str, str]]]:
    calls = [call for it in body["messages"] for call in it.get("tool_calls") or ()]
    cities = {it["id"]: json.loads(it["function"]["arguments"])["city"] for it in calls}
    results = [it for it in body["messages"] if it["role"] == "tool"]
    return cities, [(it["tool_call_id"], it["content"]) for it in results]


def _of_responses(body: Any) -> tuple[dict[str, str], list[tuple[str, str]]]:
    calls = [it for it in body["input"] if it.get("type") == "function_call"]
    results = [it for it in body["input"] if it.get("type") == "function_call_output"]
    cities = {it["call_id"]: json.loads(it["arguments"])["city"] for it in calls}
    return cities, [(it["call_id"], it["output"]) for it in results]


def _of_claude(body: Any) -> tuple[dict[str, str], list[tuple[str, str]]]:
    blocks = [it for each in body["messages"] if each["content"] for it in each["content"]]
    blocks = [it for it in blocks if isinstance(it, dict)]
    cities = {it["id"]: it["input"]["city"] for it in blocks if it["type"] == "tool_use"}
    results = [it for it in blocks if it["type"] == "tool_result"]
    return cities, [(it["tool_use_id"], it["content"]) for it in results]


_READERS = {CHAT: _of_chat, RESPONSES: _of_responses, CLAUDE: _of_claude}


def _proofs(model: str, request: Request) -> list[str]:
    """The signatures that came back, in order, of what the model said first."""
    body = request.body
    if model == CLAUDE:
        blocks = body["messages"][1]["content"]
        return [it["signature"] for it in blocks if it["type"] == "thinking"]
    if model == GEMINI:
        parts = [it for content in body["contents"] for it in content["parts"]]
        signatures = [it["thoughtSignature"] for it in parts if "thoughtSignature" in it]
        return [it.encode().translate(_STANDARD).decode() for it in signatures]
    if model == RESPONSES:
        items = [it for it in body["input"] if it.get("type") == "reasoning"]
        return [it["encrypted_content"][:4] for it in items]
    return [it["reasoning_content"] for it in body["messages"] if "reasoning_content" in it]


_PROOFS = {
    CLAUDE: [messages.SIGNATURE],
    GEMINI: [SIGNATURE],
    RESPONSES: ["enc:"],
    CHAT: ["Two cities."],
}


def _schema(model: str, body: Any) -> Any:
    """What an upstream is told of the form of the answer."""
    if model == CHAT:
        return body["response_format"]["json_schema"]["schema"]
    if model == RESPONSES:
        return body["text"]["format"]["schema"]
    if model == CLAUDE:
        return body["output_config"]["format"]["schema"]
    return body["generationConfig"]["responseJsonSchema"]
