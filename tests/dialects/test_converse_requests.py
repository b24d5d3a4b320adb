"""Forms of requests: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
botocore's model of the service, and the guides of the models' own parameters."""

import json
from itertools import pairwise

import pytest
from dialects.neutral_values import requests
from hypothesis import given, settings

from meshgate.dialects.bedrock_converse.write_request import write
from meshgate.dialects.neutral import (
    Audio,
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
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-pro-v1:0"
LLAMA = "meta.llama3-1-70b-instruct-v1:0"
HELLO = Message(role=Role.USER, parts=(Text("Hello"),))
TOOL = Tool(name="f", description="Does f.", parameters_json=b'{"type":"object"}')
CALL = Message(
    role=Role.ASSISTANT, parts=(ToolCall(id="t1", name="f", arguments_json='{"a": 1.50}'),)
)
RESULT = Message(
    role=Role.TOOL, parts=(ToolResult(tool_call_id="t1", content=(Text("1"),)),), name="f"
)


def written(*messages, model=CLAUDE, output_cap=None, **members):
    request = ChatRequest(model="public", messages=messages or (HELLO,), **members)
    return json.loads(write(request, model, stream=True, output_cap=output_cap))


def said(*parts, role=Role.USER):
    return written(Message(role=role, parts=parts))["messages"][0]["content"]


def refused_field(*messages, **members):
    with pytest.raises(UnsupportedError) as refused:
        written(*messages, **members)
    return refused.value.field


def test_a_question_has_instructions_and_parameters():
    body = written(
        Message(role=Role.SYSTEM, parts=(Text("Be brief."), CachePoint(ttl="1h"))),
        HELLO,
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.9,
        stop_sequences=("END",),
        metadata={"team": "core"},
    )

    assert body == {
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {
            "maxTokens": 100,
            "temperature": 0.5,
            "topP": 0.9,
            "stopSequences": ["END"],
        },
        "requestMetadata": {"team": "core"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    }


def test_turns_alternate():
    body = written(HELLO, CALL, RESULT, HELLO, CALL)

    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user", "assistant"]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "t1", "content": [{"text": "1"}]}},
        {"text": "Hello"},
    ]


def test_instructions_within_the_conversation_stay_where_they_are():
    body = written(HELLO, Message(role=Role.SYSTEM, parts=(Text("Shout."),)))

    assert "system" not in body
    assert body["messages"][1] == {"role": "system", "content": [{"text": "Shout."}]}


def test_media_are_sent_along():
    parts = said(
        Image(data=b"png", media_type="image/png"),
        Image(uri="s3://bucket/a.jpeg"),
        Audio(data=b"wav", format="wav"),
        File(data=b"pdf", media_type="application/pdf", filename="Q3 report_v1.2.pdf"),
        File(data=b"pdf", filename="Q3 report_v1.2.pdf", is_cited=True),
        File(data=b"txt", media_type="text/plain; charset=utf-8"),
    )

    assert parts == [
        {"image": {"format": "png", "source": {"bytes": "cG5n"}}},
        {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.jpeg"}}}},
        {"audio": {"format": "wav", "source": {"bytes": "d2F2"}}},
        {"document": {"format": "pdf", "name": "Q3 report v1 2", "source": {"bytes": "cGRm"}}},
        {
            "document": {
                "format": "pdf",
                "name": "Q3 report v1 2 2",
                "source": {"bytes": "cGRm"},
                "citations": {"enabled": True},
            }
        },
        {"document": {"format": "txt", "name": "document", "source": {"bytes": "dHh0"}}},
    ]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (Image(uri="https://x.example/a.png"), "image.uri"),
        (Image(data=b"x", media_type="image/tiff"), "image.media_type"),
        (Image(data=b"x", media_type="image/png", detail="high"), "image.detail"),
        (Audio(data=b"x", format="midi"), "audio.format"),
        (File(file_id="file-1"), "file.file_id"),
        (File(data=b"x", media_type="application/zip"), "file.media_type"),
        (Refusal("no"), "refusal"),
        (ToolCall(id="t", name="f"), "tool_call"),
    ],
)
def test_what_a_user_cannot_say_here_is_refused_by_name(part, field):
    message = Message(role=Role.USER, parts=(Text("a"), part))

    assert refused_field(message) == f"messages[0].parts[1].{field}"


def test_names_of_speakers_are_refused():
    named = Message(role=Role.USER, parts=(Text("a"),), name="Ann")

    assert refused_field(named) == "messages[0].name"


def test_a_failed_tool_is_told_as_failed_with_its_picture():
    content = (Text("no"), Image(data=b"x", media_type="image/webp"))

    [block] = said(ToolResult(tool_call_id="t1", content=content, is_error=True), role=Role.TOOL)

    assert block["toolResult"]["status"] == "error"
    assert [*block["toolResult"]["content"][1]] == ["image"]


def test_arguments_keep_their_numbers():
    request = ChatRequest(model="public", messages=(HELLO, CALL))

    assert b'"input":{"a": 1.50}' in write(request, CLAUDE, stream=False)


@pytest.mark.parametrize(
    "call",
    [
        ToolCall(id="t", name="f", arguments_json="{broken"),
        ToolCall(id="t", name="f", arguments_json="[1]"),
        ToolCall(id="t", name="f", arguments_json="x", is_custom=True),
    ],
)
def test_calls_whose_arguments_are_no_object_are_refused(call):
    field = refused_field(Message(role=Role.ASSISTANT, parts=(call,)))

    assert field.startswith("messages[0].parts[0].tool_call.")


def test_ids_that_the_api_would_not_take_are_replaced_in_call_and_result():
    long = "x" * 100
    body = written(
        Message(role=Role.ASSISTANT, parts=(ToolCall(id=long, name="f"),)),
        Message(role=Role.TOOL, parts=(ToolResult(tool_call_id=long),)),
    )

    use = body["messages"][0]["content"][0]["toolUse"]
    assert len(use["toolUseId"]) <= 64
    assert body["messages"][1]["content"][0]["toolResult"]["toolUseId"] == use["toolUseId"]


def test_thoughts_go_back_to_who_signed_them():
    hidden = Reasoning(text="", signature=b"\xff", origin="bedrock_converse", is_redacted=True)
    own = Reasoning(text="Hm", signature=b"c2ln", origin="bedrock_converse")

    assert said(own, hidden, Text("Hi"), role=Role.ASSISTANT) == [
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "/w=="}},
        {"text": "Hi"},
    ]


@pytest.mark.parametrize(
    "thought",
    [
        Reasoning(text="Hm"),
        Reasoning(text="Hm", signature=b"x", origin="gemini_generate"),
        Reasoning(text="", signature=b"x", origin="anthropic_messages", is_redacted=True),
    ],
)
def test_thoughts_that_nobody_here_signed_are_left_out(thought):
    assert said(thought, Text("Hi"), role=Role.ASSISTANT) == [{"text": "Hi"}]


def test_anthropics_signatures_hold_for_claude_only():
    thought = Reasoning(text="Hm", signature=b"c2ln", origin="anthropic_messages")
    message = Message(role=Role.ASSISTANT, parts=(thought, Text("Hi")))

    assert len(written(message, model=CLAUDE)["messages"][0]["content"]) == 2
    assert len(written(message, model=NOVA)["messages"][0]["content"]) == 1


def test_a_refusal_is_told_as_text_and_nothing_is_told_of_silence():
    assert said(Refusal("I will not."), Text(""), role=Role.ASSISTANT) == [{"text": "I will not."}]


def test_tools_are_described():
    bare = Tool(name="g", strict=True)
    cached = Tool(name="h", parameters_json=b"{}", cache_point=CachePoint())
    body = written(tools=(TOOL, bare, cached), tool_choice=ToolChoice(mode=ToolChoiceMode.REQUIRED))

    assert body["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "f",
                    "description": "Does f.",
                    "inputSchema": {"json": {"type": "object"}},
                }
            },
            {
                "toolSpec": {
                    "name": "g",
                    "inputSchema": {"json": {"type": "object", "properties": {}}},
                    "strict": True,
                }
            },
            {"toolSpec": {"name": "h", "inputSchema": {"json": {}}}},
            {"cachePoint": {"type": "default"}},
        ],
        "toolChoice": {"any": {}},
    }


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (ToolChoice(mode=ToolChoiceMode.AUTO), {"auto": {}}),
        (ToolChoice(mode=ToolChoiceMode.NAMED, name="f"), {"tool": {"name": "f"}}),
    ],
)
def test_a_choice_among_tools_is_told(choice, told):
    assert written(tools=(TOOL,), tool_choice=choice)["toolConfig"]["toolChoice"] == told


def test_who_may_call_no_tool_is_told_of_none():
    none = ToolChoice(mode=ToolChoiceMode.NONE)

    assert "toolConfig" not in written(tools=(TOOL,), tool_choice=none)


def test_tools_that_were_called_are_told_of_though_none_may_be_called_again():
    none = ToolChoice(mode=ToolChoiceMode.NONE)
    body = written(HELLO, CALL, RESULT, tools=(TOOL,), tool_choice=none)

    assert "toolChoice" not in body["toolConfig"]
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}
    told_elsewhere = refused_field(HELLO, CALL, RESULT, tools=(TOOL,), tool_choice=none, model=NOVA)
    assert told_elsewhere == "tool_choice"


def test_calls_one_after_the_other_can_be_asked_of_claude():
    named = ToolChoice(mode=ToolChoiceMode.NAMED, name="f")
    body = written(tools=(TOOL,), tool_choice=named, parallel_tool_calls=False)

    assert body["additionalModelRequestFields"] == {
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
    }
    assert "toolChoice" not in body["toolConfig"]


def test_others_at_converse_are_not_asked_for_one_call_at_a_time_but_of_one_tool():
    both = (TOOL, Tool(name="g"))
    named = ToolChoice(mode=ToolChoiceMode.NAMED, name="f")
    alone = written(tools=(TOOL,), parallel_tool_calls=False, model=NOVA)
    forced = written(tools=both, tool_choice=named, parallel_tool_calls=False, model=NOVA)

    assert alone == written(tools=(TOOL,), model=NOVA)
    assert forced == written(tools=both, tool_choice=named, model=NOVA)
    assert forced["toolConfig"]["toolChoice"] == {"tool": {"name": "f"}}
    assert refused_field(tools=both, parallel_tool_calls=False, model=NOVA) == (
        "parallel_tool_calls"
    )


@pytest.mark.parametrize(
    ("model", "asked", "told"),
    [
        (CLAUDE, {"top_k": 5}, {"top_k": 5}),
        (NOVA, {"top_k": 5}, {"inferenceConfig": {"topK": 5}}),
        ("cohere.command-r-v1:0", {"top_k": 5}, {"k": 5}),
        (
            CLAUDE,
            {"reasoning_budget_tokens": 2000},
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        ),
        (CLAUDE, {"reasoning_budget_tokens": 0}, {"thinking": {"type": "disabled"}}),
        (CLAUDE, {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        (
            "us.amazon.nova-2-lite-v1:0",
            {"reasoning_effort": "high"},
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
        ),
    ],
)
def test_each_family_is_told_in_its_own_words(model, asked, told):
    body = written(model=model, **asked)

    assert body["additionalModelRequestFields"] == told


def test_how_hard_to_think_is_converses_own_member():
    assert written(reasoning_effort="high", model=LLAMA)["outputConfig"] == {"effort": "high"}


def test_a_budget_stays_below_what_the_gateway_allows_to_be_written():
    body = written(reasoning_budget_tokens=8000, max_output_tokens=9000, output_cap=2000)

    assert body["inferenceConfig"] == {"maxTokens": 2000}
    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 1999


@pytest.mark.parametrize(
    "members",
    [
        {"seed": 1},
        {"verbosity": "low"},
        {"frequency_penalty": 0.5},
        {"presence_penalty": 0.5},
        {"shows_reasoning": False},
        {"top_k": 5, "model": LLAMA},
        {"reasoning_effort": "none", "model": LLAMA},
        {"response_format": ResponseFormat(kind=ResponseFormatKind.JSON_OBJECT)},
    ],
)
def test_parameters_that_cannot_be_told_are_refused_by_name(members):
    assert refused_field(**members) == next(iter(members))


def test_penalties_of_nothing_ask_for_nothing():
    assert written(frequency_penalty=0.0, presence_penalty=0.0, user="u-1") == written()


def test_the_form_of_an_answer_is_a_schema_as_text():
    wanted = ResponseFormat(
        kind=ResponseFormatKind.JSON_SCHEMA, name="n", schema_json=b'{"type": "object"}'
    )

    assert written(response_format=wanted)["outputConfig"] == {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": '{"type": "object"}', "name": "n"}},
        }
    }


def test_own_members_pass_beside_what_the_family_is_told():
    extra = {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "additionalModelRequestFields": {"anthropic_beta": ["x"]},
    }
    body = written(top_k=5, extra_json=json.dumps(extra).encode())

    assert body["guardrailConfig"] == extra["guardrailConfig"]
    assert body["additionalModelRequestFields"] == {"top_k": 5, "anthropic_beta": ["x"]}


@pytest.mark.parametrize(
    "extra",
    [
        {"modelId": "other"},
        {"additionalModelRequestFields": {"top_k": 1}},
        {"additionalModelRequestFields": 1},
        {"additionalModelRequestFields": {"max_tokens": 100_000}},
        {"additionalModelRequestFields": {"inferenceConfig": {"maxTokens": 100_000}}},
        {"additionalModelRequestFields": {"textGenerationConfig": {"a": {"maxTokenCount": 9}}}},
    ],
)
def test_extras_cannot_replace_what_is_said_elsewhere(extra):
    with pytest.raises(InvalidRequestError):
        written(top_k=5, extra_json=json.dumps(extra).encode())


@pytest.mark.parametrize(
    ("tier", "told"),
    [("auto", None), ("default", {"type": "default"}), ("priority", {"type": "priority"})],
)
def test_a_tier_in_openais_words_is_told(tier, told):
    extra = json.dumps({"service_tier": tier, "prompt_cache_key": "k"}).encode()
    body = written(extra_json=extra, extra_dialect="openai_chat")

    assert body.get("serviceTier") == told
    assert "prompt_cache_key" not in body


@pytest.mark.parametrize("extra", [{"service_tier": "scale"}, {"logit_bias": {"1": 2}}])
def test_what_only_another_api_knows_is_refused_by_name(extra):
    field = refused_field(extra_json=json.dumps(extra).encode(), extra_dialect="openai_chat")

    assert field == next(iter(extra))


@given(requests)
@settings(deadline=None)
def test_any_request_is_written_as_json_whose_turns_alternate_or_refused_by_name(request):
    refusal, turns = None, []
    try:
        turns = json.loads(write(request, CLAUDE, stream=False))["messages"]
    except (UnsupportedError, InvalidRequestError) as error:
        refusal = error

    roles = [turn["role"] for turn in turns]
    assert refusal is None or refusal.field
    assert all(one != other for one, other in pairwise(roles))
