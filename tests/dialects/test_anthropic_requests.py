"""Requests for Anthropic's messages: read, and written from what other dialects say."""

import json
from pathlib import Path

import pytest
from dialects import anthropic_values as values
from hypothesis import given, settings
from msgspec.structs import replace

from meshgate.dialects.anthropic_messages import read_request, token_count, write_request
from meshgate.dialects.anthropic_messages.models import traits_of
from meshgate.dialects.anthropic_messages.signing import UNSIGNED
from meshgate.dialects.neutral import (
    CachePoint,
    ChatRequest,
    File,
    Image,
    Message,
    Reasoning,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from meshgate.dialects.signatures import Signature, seal
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

GOLDEN = Path(__file__).parent / "golden" / "anthropic"
OWN = values.OWN
HI = Message(role=Role.USER, parts=(Text("hi"),))


def body(**more):
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(asked | more).encode()


def wrote(*messages, model="claude-opus-5", cap=None, **more):
    request = ChatRequest(model="m", messages=messages or (HI,), **more)
    return json.loads(write_request.write(request, model, stream=False, output_cap=cap))


def said(role, *parts):
    return Message(role=role, parts=parts)


@given(values.requests())
@settings(deadline=None, max_examples=60)
def test_a_request_survives(request):
    written = write_request.write(request, request.model, stream=True)

    again = read_request.read(written)
    has_lost_budget = request.reasoning_budget_tokens and again.reasoning_budget_tokens is None
    if has_lost_budget and not request.must_call:
        # A round of tools that did not begin with a thought is finished without.
        assert request.messages[-1].role is Role.TOOL
    if has_lost_budget or (request.must_call and request.reasoning_budget_tokens is None):
        # Nobody thinks who must call a tool.
        request = replace(request, reasoning_budget_tokens=None, shows_reasoning=None)
    assert again == request
    assert read_request.read_head(written).stream


class TestReading:
    def test_a_conversation_as_it_is_published(self):
        request = read_request.read((GOLDEN / "conversation.json").read_bytes())

        assert request.messages == (
            said(Role.SYSTEM, Text("Be brief."), CachePoint(ttl="1h")),
            said(
                Role.USER,
                Image(data=b"\x89PNG\r\n\x1a\n", media_type="image/png"),
                File(uri="https://x.example/a.pdf", filename="A", is_cited=True),
                File(data=b"green", media_type="text/plain"),
                Image(file_id="file_1"),
                Text("What is the weather?"),
            ),
            said(
                Role.ASSISTANT,
                Reasoning(text="Look it up.", signature=b"EqQBCgIYAhIM", origin=OWN),
                Reasoning(text="", signature=b"EmwKAhgBEgy3", origin=OWN, is_redacted=True),
                ToolCall(id="toolu_01a", name="get_weather", arguments_json='{"city":"Lyon"}'),
            ),
            said(
                Role.TOOL,
                ToolResult(
                    tool_call_id="toolu_01a",
                    content=(Text("no such city"), Image(uri="https://x.example/map.png")),
                    is_error=True,
                ),
            ),
            said(Role.USER, Text("Try again.")),
        )
        assert request.tools[0].strict
        assert request.tools[0].cache_point == CachePoint()
        assert request.tool_choice == ToolChoice(mode=ToolChoiceMode.REQUIRED)
        assert request.parallel_tool_calls is False
        assert (request.reasoning_budget_tokens, request.shows_reasoning) == (2048, True)
        assert request.reasoning_effort == "low"
        assert request.response_format.schema_json == b'{"type": "object"}'
        assert (request.temperature, request.top_p, request.top_k) == (0.5, 0.9, 40)
        assert (request.stop_sequences, request.user) == (("END",), "u-1")

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"tools": [{"type": "web_search_20250305", "name": "s"}]}, "tools[0].type"),
            (
                {"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]},
                "tools[0].defer_loading",
            ),
            ({"thinking": {"type": "adaptive", "tomorrow": 1}}, "thinking.tomorrow"),
            ({"output_config": {"tomorrow": 1}}, "output_config.tomorrow"),
            ({"max_tokens": 0}, "max_tokens"),
            (
                {
                    "messages": [
                        {
                            "role": "user",
                            "content": [
                                {
                                    "type": "document",
                                    "context": "c",
                                    "source": {"type": "text", "data": "d"},
                                }
                            ],
                        }
                    ]
                },
                "messages[0].content[0].context",
            ),
        ],
    )
    def test_what_the_neutral_form_lacks_is_refused_by_its_name(self, more, field):
        with pytest.raises(UnsupportedError) as told:
            read_request.read(body(**more))

        assert told.value.field == field

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"max_tokens": None}, "max_tokens"),
            ({"model": ""}, "model"),
            ({"messages": []}, "messages"),
            ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
            ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
            ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
            ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
            ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
            ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ],
    )
    def test_what_breaks_a_rule_is_told_by_its_name(self, more, field):
        with pytest.raises(InvalidRequestError) as told:
            read_request.read(body(**more))

        assert told.value.field == field

    def test_members_that_only_steer_anthropic_are_extras_in_its_terms(self):
        request = read_request.read(body(service_tier="standard_only", speed="standard"))

        assert request.extra_json == b'{"service_tier":"standard_only"}'
        assert request.extra_dialect == OWN

    @pytest.mark.parametrize(
        ("signature", "expected"),
        [
            ("EqQB", (b"EqQB", OWN)),
            (UNSIGNED, (b"", "")),
            ("", (b"", "")),
            (seal(Signature(b"x", "gemini_generate")), (b"x", "gemini_generate")),
        ],
    )
    def test_a_signature_is_whose_it_is(self, signature, expected):
        block = {"type": "thinking", "thinking": "t", "signature": signature}
        turns = [{"role": "assistant", "content": [block]}]

        [message] = read_request.read(body(messages=turns)).messages

        [thought] = message.parts
        assert (thought.signature, thought.origin) == expected

    def test_a_request_for_a_count_needs_no_bound(self):
        head = token_count.read_head(json.dumps({"model": "m", "messages": [{}]}).encode())

        assert (head.model, head.max_output_tokens, head.stream) == ("m", 0, False)


class TestWriting:
    def test_a_conversation_of_other_dialects_is_made_legal(self):
        call = ToolCall(id="1", name="f", arguments_json="")
        written = wrote(
            said(Role.SYSTEM, Text("a")),
            said(Role.SYSTEM, Text("b")),
            said(Role.USER, Text("c")),
            said(Role.USER, Text("d")),
            said(Role.ASSISTANT, Text(""), call),
            said(Role.TOOL, ToolResult(tool_call_id="1", content=(Text("e"),))),
            said(Role.USER, Text("f")),
        )

        assert written["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
        assert [turn["role"] for turn in written["messages"]] == ["user", "assistant", "user"]
        assert [block["text"] for block in written["messages"][0]["content"]] == ["c", "d"]
        assert written["messages"][1]["content"] == [
            {"type": "tool_use", "id": "1", "name": "f", "input": {}}
        ]
        assert [block["type"] for block in written["messages"][2]["content"]] == [
            "tool_result",
            "text",
        ]

    def test_a_later_system_prompt_stands_where_it_was(self):
        written = wrote(HI, said(Role.SYSTEM, Text("now in French")))

        assert written["messages"][1] == {"role": "system", "content": "now in French"}
        assert "system" not in written

    def test_one_that_anthropic_does_not_take_there_is_refused(self):
        with pytest.raises(UnsupportedError) as told:
            wrote(HI, said(Role.ASSISTANT, Text("a")), said(Role.SYSTEM, Text("b")))

        assert told.value.field == "messages[2].role"

    def test_thoughts_of_others_are_left_out_and_refusals_are_text(self):
        written = wrote(
            HI,
            said(
                Role.ASSISTANT,
                Reasoning(text="mine", signature=b"s", origin=OWN),
                Reasoning(text="theirs", signature=b"s", origin="gemini_generate"),
                Reasoning(text="nobody's"),
                Refusal("no"),
            ),
        )

        assert written["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "mine", "signature": "s"},
            {"type": "text", "text": "no"},
        ]

    @pytest.mark.parametrize(
        ("model", "bound"),
        [
            ("claude-3-opus-20240229", 4_096),
            ("claude-3-5-haiku-20241022", 8_192),
            ("claude-opus-4-20250514", 32_000),
            ("claude-opus-4-1-20250805", 32_000),
            ("claude-sonnet-4-20250514", 64_000),
            ("claude-haiku-4-5", 64_000),
            ("claude-opus-5-5", 64_000),
            ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 64_000),
            ("my-own", 8_192),
        ],
    )
    def test_a_bound_is_given_where_the_caller_gives_none(self, model, bound):
        assert wrote(model=model)["max_tokens"] == bound
        assert wrote(model=model, cap=7)["max_tokens"] == 7
        assert wrote(model=model, max_output_tokens=5, cap=7)["max_tokens"] == 5
        assert traits_of(model).output_tokens == bound

    @pytest.mark.parametrize(
        ("model", "asked", "thinking", "effort"),
        [
            ("claude-opus-5", {"reasoning_effort": "high"}, {"type": "adaptive"}, "high"),
            ("claude-opus-5", {"reasoning_effort": "minimal"}, {"type": "adaptive"}, "low"),
            ("claude-opus-5", {"reasoning_effort": "none"}, {"type": "disabled"}, None),
            (
                "claude-opus-4-5",
                {"reasoning_effort": "low"},
                {"type": "enabled", "budget_tokens": 4096},
                None,
            ),
            (
                "claude-opus-4-5",
                {"reasoning_effort": "high", "max_output_tokens": 3000},
                {"type": "enabled", "budget_tokens": 2999},
                None,
            ),
            ("claude-opus-5", {}, None, None),
        ],
    )
    def test_effort_is_told_as_the_model_takes_it(self, model, asked, thinking, effort):
        written = wrote(model=model, **asked)

        assert written.get("thinking") == thinking
        assert written.get("output_config", {}).get("effort") == effort

    def test_a_schema_says_what_its_format_describes(self):
        wanted = ResponseFormat(
            kind=ResponseFormatKind.JSON_SCHEMA,
            name="answer",
            description="short",
            schema_json=b'{"type":"object"}',
        )

        written = wrote(response_format=wanted)

        assert written["output_config"]["format"] == {
            "type": "json_schema",
            "schema": {"description": "short", "type": "object"},
        }

    def test_a_tool_without_parameters_takes_an_object(self):
        written = wrote(tools=(Tool(name="f"), Tool(name="g", parameters_json=b'{"a":1}')))

        assert [tool["input_schema"] for tool in written["tools"]] == [
            {"type": "object", "properties": {}},
            {"type": "object", "a": 1},
        ]

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"temperature": 1.5}, "temperature"),
            ({"seed": 1}, "seed"),
            ({"frequency_penalty": 0.5}, "frequency_penalty"),
            ({"presence_penalty": 0.5}, "presence_penalty"),
            ({"verbosity": "low"}, "verbosity"),
            ({"tool_choice": ToolChoice(mode=ToolChoiceMode.REQUIRED)}, "tool_choice"),
            ({"tools": (Tool(name="f", is_custom=True),)}, "tools[0].custom"),
            (
                {"response_format": ResponseFormat(kind=ResponseFormatKind.JSON_OBJECT)},
                "response_format.type",
            ),
            (
                {"extra_json": b'{"logit_bias":{"1":2}}', "extra_dialect": "openai_chat"},
                "logit_bias",
            ),
            ({"extra_json": b'{"mcp_servers":[1]}'}, "extra_json.mcp_servers"),
        ],
    )
    def test_what_anthropic_cannot_be_told_is_refused_by_its_name(self, more, field):
        with pytest.raises(UnsupportedError) as told:
            wrote(**more)

        assert told.value.field == field

    @pytest.mark.parametrize(
        "part",
        [
            Image(uri="https://x.example/a", detail="low"),
            File(data=b"x", media_type="application/zip"),
        ],
    )
    def test_media_that_would_be_another_thing_are_refused(self, part):
        with pytest.raises(UnsupportedError, match=r"messages\[0\]\.parts\[0\]"):
            wrote(said(Role.USER, part))

    def test_arguments_that_are_no_object_are_told_by_their_place(self):
        call = ToolCall(id="1", name="f", arguments_json="[]")

        with pytest.raises(InvalidRequestError) as told:
            wrote(HI, said(Role.ASSISTANT, call))

        assert told.value.field == "messages[1].parts[0].tool_call.arguments_json"


CALL = ToolCall(id="1", name="f", arguments_json="{}")
RESULT = said(Role.TOOL, ToolResult(tool_call_id="1", content=(Text("x"),)))
OWN_THOUGHT = Reasoning(text="hm", signature=b"s", origin="anthropic_messages")
FOREIGN_THOUGHT = Reasoning(text="hm", signature=b"s", origin="gemini_generate")


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ((HI,), True),
        ((HI, said(Role.ASSISTANT, CALL), RESULT), False),
        ((HI, said(Role.ASSISTANT, FOREIGN_THOUGHT, CALL), RESULT), False),
        ((HI, said(Role.ASSISTANT, OWN_THOUGHT, CALL), RESULT), True),
        ((HI, said(Role.ASSISTANT, CALL), RESULT, HI), False),
        ((HI, said(Role.ASSISTANT, CALL), RESULT, said(Role.ASSISTANT, Text("a")), HI), True),
        # A later step of a round thinks no more: what counts is how the round began.
        (
            (
                HI,
                said(Role.ASSISTANT, OWN_THOUGHT, CALL),
                RESULT,
                said(Role.ASSISTANT, CALL),
                RESULT,
            ),
            True,
        ),
    ],
)
def test_a_round_whose_thought_did_not_come_back_goes_on_without_a_budget(messages, thinks):
    written = wrote(*messages, model="claude-sonnet-4-5", reasoning_effort="low")

    assert ("thinking" in written) is thinks


def test_models_that_think_by_themselves_want_no_thought_back():
    written = wrote(HI, said(Role.ASSISTANT, CALL), RESULT, reasoning_effort="low")

    assert written["thinking"] == {"type": "adaptive"}
