"""Gemini's requests: read from callers, written to upstreams, passed through."""

import base64
import json

import msgspec
import pytest
from dialects.gemini_values import SIGNATURE, call, model_says, request, result
from dialects.neutral_values import prompts, tool_choices, tools
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects import signatures
from meshgate.dialects.answers import RequestHead
from meshgate.dialects.gemini_generate import passthrough, write_request
from meshgate.dialects.gemini_generate.member_names import in_camel_case
from meshgate.dialects.gemini_generate.named_body import named
from meshgate.dialects.gemini_generate.read_request import read, read_head
from meshgate.dialects.gemini_generate.signed_thoughts import UNSIGNED
from meshgate.dialects.neutral import (
    Audio,
    CachePoint,
    ChatRequest,
    File,
    Image,
    Message,
    Reasoning,
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
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

SIGNED = base64.b64decode(SIGNATURE)
EARLY, LATE = "gemini-2.5-flash", "gemini-3-flash-preview"


def config(**members):
    return request(generationConfig=members)


def chat(*parts, role=Role.USER, **members):
    return ChatRequest(model="m", messages=(Message(role=role, parts=parts),), **members)


def written(neutral, model=LATE, **options):
    return json.loads(write_request.write(neutral, model, stream=False, **options))


def test_the_head_says_all_that_routing_needs():
    body = config(maxOutputTokens=7, candidateCount=2)

    head = read_head(body)

    assert head == RequestHead("gemini-x", include_usage=True, max_output_tokens=7, choices=2)


def test_both_spellings_mean_the_same():
    camel = request(
        systemInstruction={"parts": [{"text": "be"}]},
        generationConfig={"maxOutputTokens": 7, "stopSequences": ["x"], "topP": 0.5},
        toolConfig={"functionCallingConfig": {"mode": "NONE"}},
    )
    snake = request(
        system_instruction={"parts": [{"text": "be"}]},
        generation_config={"max_output_tokens": 7, "stop_sequences": ["x"], "top_p": 0.5},
        tool_config={"function_calling_config": {"mode": "NONE"}},
    )

    assert read(camel) == read(snake)


def test_a_member_in_both_spellings_is_refused():
    body = config(maxOutputTokens=7, max_output_tokens=70_000)

    with pytest.raises(InvalidRequestError, match="maxOutputTokens"):
        read_head(body)


def test_a_name_written_with_escapes_is_the_same_name():
    body = config(candidateCount=8).replace(b"generationConfig", b"generation\\u005fconfig")

    assert read_head(body).choices == 8


def test_names_of_the_application_keep_their_spelling():
    args = {"my_city": {"deep_name": 1.50}}
    body = request("hi", model_says(call(args=args)), generation_config={"top_k": 3})

    [_, message] = read(body).messages

    assert message.parts == (
        ToolCall(id="call_0", name="weather", arguments_json=json.dumps(args)),
    )


def test_what_is_said_is_read_part_by_part():
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    sound = {"inline_data": {"mime_type": "audio/mpeg", "data": "aGk="}}
    paper = {"fileData": {"fileUri": "https://x.example/a", "mimeType": "application/pdf"}}

    [message] = read(request({"parts": [{"text": "see"}, picture, sound, paper]})).messages

    assert message == Message(
        role=Role.USER,
        parts=(
            Text("see"),
            Image(data=b"hi", media_type="image/png"),
            Audio(data=b"hi", format="mp3"),
            File(uri="https://x.example/a", media_type="application/pdf"),
        ),
    )


def test_results_without_ids_find_their_calls_by_name_and_order():
    body = request(
        "hi",
        model_says(call("a"), call("b"), call("a")),
        {"role": "user", "parts": [result("a"), result("b"), result("a"), {"text": "go on"}]},
    )

    _, said, results, more = read(body).messages

    assert [part.id for part in said.parts] == ["call_0", "call_1", "call_2"]
    assert [part.tool_call_id for part in results.parts] == ["call_0", "call_1", "call_2"]
    assert results.role is Role.TOOL
    assert more == Message(role=Role.USER, parts=(Text("go on"),))


def test_a_made_id_is_none_that_is_given():
    body = request("hi", model_says(call(id="call_1"), call(), call(id="call_3"), call()))

    ids = [part.id for part in read(body).messages[1].parts]

    assert len(set(ids)) == 4


def test_a_result_without_a_call_is_refused():
    with pytest.raises(InvalidRequestError, match=r"contents\[0\]\.parts\[0\]"):
        read(request({"parts": [result()]}))


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "sunny"}, "sunny", False),
        ({"error": "no network"}, "no network", True),
        ({"output": {"sky": "blue"}}, '{"sky": "blue"}', False),
        ({"result": "sunny"}, '{"result": "sunny"}', False),
    ],
)
def test_googles_words_say_whether_a_function_failed(response, text, is_error):
    body = request("hi", model_says(call()), {"parts": [result(response=response)]})

    [given] = read(body).messages[2].parts

    assert (given.text, given.is_error) == (text, is_error)


def test_a_signature_stands_before_what_it_signs():
    body = request(
        "hi",
        model_says({"text": "hm", "thought": True}, call() | {"thoughtSignature": SIGNATURE}),
    )

    thought, signature, wanted = read(body).messages[1].parts

    assert thought == Reasoning(text="hm")
    assert signature == Reasoning(text="", signature=SIGNED, origin="gemini_generate")
    assert isinstance(wanted, ToolCall)


def test_what_stands_for_no_signature_is_none():
    body = request("hi", model_says(call() | {"thoughtSignature": UNSIGNED}))

    [wanted] = read(body).messages[1].parts

    assert isinstance(wanted, ToolCall)


def test_a_signature_of_another_upstream_comes_back_with_its_origin():
    sealed = signatures.seal(signatures.Signature(b"\x00s", "anthropic_messages"))
    encoded = base64.b64encode(f"{sealed}~r~t1".encode()).decode()
    body = request("hi", model_says({"text": "", "thought": True, "thoughtSignature": encoded}))

    [thought] = read(body).messages[1].parts

    assert thought == Reasoning(
        text="", signature=b"\x00s", origin="anthropic_messages", is_redacted=True, id="t1"
    )


def test_openapis_schemas_become_json_schemas():
    schema = {
        "type": "OBJECT",
        "properties": {
            "the_name": {"type": "STRING", "nullable": True, "enum": ["a"], "format": "enum"},
            "many": {"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "2"},
        },
        "propertyOrdering": ["many"],
    }
    body = request(tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}])

    [tool] = read(body).tools

    assert json.loads(tool.parameters_json) == {
        "type": "object",
        "properties": {
            "the_name": {"type": ["string", "null"], "enum": ["a", None]},
            "many": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        },
    }


@pytest.mark.parametrize(
    ("calling", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice(mode=ToolChoiceMode.AUTO)),
        ({"mode": "NONE"}, ToolChoice(mode=ToolChoiceMode.NONE)),
        ({"mode": "ANY"}, ToolChoice(mode=ToolChoiceMode.REQUIRED)),
        (
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
            ToolChoice(mode=ToolChoiceMode.NAMED, name="f"),
        ),
    ],
)
def test_which_functions_may_be_called_is_read(calling, choice):
    assert read(request(toolConfig={"functionCallingConfig": calling})).tool_choice == choice


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"tools": [{"googleSearch": {}}]}, "googleSearch"),
        ({"tools": [{"codeExecution": {}}]}, "codeExecution"),
        ({"generationConfig": {"speechConfig": {"a": 1}}}, "generationConfig.speechConfig"),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}}, "responseModalities"),
        ({"generationConfig": {"candidateCount": 2}}, "candidateCount"),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "responseMimeType"),
        (
            {
                "toolConfig": {
                    "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}
                }
            },
            "allowedFunctionNames",
        ),
    ],
)
def test_what_no_other_dialect_has_is_named(members, field):
    with pytest.raises(UnsupportedError) as raised:
        read(request(**members))

    assert raised.value.field is not None
    assert field in raised.value.field


def test_executable_code_is_refused_by_name():
    body = request("hi", model_says({"executableCode": {"code": "1"}}))

    with pytest.raises(UnsupportedError, match="executableCode"):
        read(body)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"safetySettings": [{"category": "X", "threshold": "BLOCK_ONLY_HIGH"}]}, "safetySettings"),
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
    ],
)
def test_other_upstreams_refuse_what_only_gemini_knows(members, field):
    with pytest.raises(UnsupportedError, match=field):
        translator("gemini_generate", "openai_chat").request(request(**members), "m", stream=False)


def test_a_filter_that_is_off_asks_for_nothing():
    body = request(safetySettings=[{"category": "X", "threshold": "BLOCK_NONE"}])

    assert read(body).extra_json == b""


def test_thinking_is_read():
    body = config(thinkingConfig={"thinkingLevel": "HIGH", "includeThoughts": True})

    neutral = read(body)

    assert (neutral.reasoning_effort, neutral.shows_reasoning) == ("high", True)
    assert read(config(thinkingConfig={"thinkingBudget": 0})).reasoning_budget_tokens == 0
    assert read(config(thinkingConfig={"thinkingBudget": -1})).reasoning_budget_tokens is None


def test_results_of_one_turn_go_back_together_with_their_names():
    calls = tuple(ToolCall(id=i, name=f"f{i}", arguments_json="{}") for i in "ab")
    neutral = ChatRequest(
        model="m",
        messages=(
            Message(role=Role.ASSISTANT, parts=calls),
            Message(role=Role.TOOL, parts=(ToolResult(tool_call_id="b", content=(Text("1"),)),)),
            Message(
                role=Role.TOOL,
                parts=(ToolResult(tool_call_id="a", content=(Text("x"),), is_error=True),),
            ),
        ),
    )

    _, results = written(neutral)["contents"]

    assert results == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "b", "name": "fb", "response": {"output": "1"}}},
            {"functionResponse": {"id": "a", "name": "fa", "response": {"error": "x"}}},
        ],
    }


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ('{"sky": "blue"}', {"sky": "blue"}),
        ('{"error": 1}', {"output": '{"error": 1}'}),
        ("[1]", {"output": "[1]"}),
    ],
)
def test_a_result_is_never_taken_for_an_error(text, response):
    neutral = ChatRequest(
        model="m",
        messages=(
            Message(role=Role.ASSISTANT, parts=(ToolCall(id="a", name="f"),)),
            Message(role=Role.TOOL, parts=(ToolResult(tool_call_id="a", content=(Text(text),)),)),
        ),
    )

    [part] = written(neutral)["contents"][1]["parts"]

    assert part["functionResponse"]["response"] == response


def test_geminis_signature_goes_back_to_the_call_that_it_signs():
    own = Reasoning(text="hm", signature=SIGNED, origin="gemini_generate")
    neutral = chat(own, ToolCall(id="a", name="f"), role=Role.ASSISTANT)

    [thought, wanted] = written(neutral)["contents"][0]["parts"]

    assert thought == {"text": "hm", "thought": True}
    assert wanted["thoughtSignature"] == SIGNATURE


def test_a_thought_that_another_provider_signed_is_left_out():
    other = Reasoning(text="hm", signature=b"s", origin="anthropic_messages")

    parts = written(chat(other, Text("so"), role=Role.ASSISTANT))["contents"][0]["parts"]

    assert parts == [{"text": "so"}]


@pytest.mark.parametrize(("model", "expected"), [(EARLY, None), (LATE, UNSIGNED)])
def test_the_first_call_of_a_turn_is_signed_where_the_model_wants_that(model, expected):
    calls = (ToolCall(id="a", name="f"), ToolCall(id="b", name="f"))

    first, second = written(chat(*calls, role=Role.ASSISTANT), model)["contents"][0]["parts"]

    assert first.get("thoughtSignature") == expected
    assert "thoughtSignature" not in second


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        (EARLY, "low", {"thinkingBudget": 1024}),
        (LATE, "low", {"thinkingLevel": "LOW"}),
        (LATE, "none", {"thinkingBudget": 0}),
        ("models/gemini-2.0-flash", "high", {"thinkingBudget": 24576}),
    ],
)
def test_how_hard_to_think_is_told_in_the_models_own_terms(model, effort, expected):
    body = written(chat(Text("x"), reasoning_effort=effort), model)

    assert body["generationConfig"]["thinkingConfig"] == expected


def test_early_models_are_told_once_how_closely_to_look():
    low, high = (Image(data=b"x", media_type="image/png", detail=it) for it in ("low", "high"))

    early = written(chat(low, low), EARLY)
    late = written(chat(low, high), LATE)

    assert early["generationConfig"] == {"mediaResolution": "MEDIA_RESOLUTION_LOW"}
    assert all("mediaResolution" not in part for part in early["contents"][0]["parts"])
    assert [part["mediaResolution"]["level"] for part in late["contents"][0]["parts"]] == [
        "MEDIA_RESOLUTION_LOW",
        "MEDIA_RESOLUTION_HIGH",
    ]
    with pytest.raises(UnsupportedError, match="detail"):
        written(chat(low, high), EARLY)


def test_an_answer_by_a_schema_is_asked_for():
    schema = b'{"type":"object","properties":{"b":{},"a":{}}}'
    wanted = ResponseFormat(
        kind=ResponseFormatKind.JSON_SCHEMA, schema_json=schema, name="n", description="d"
    )

    made = written(chat(Text("x"), response_format=wanted))["generationConfig"]

    assert made["responseMimeType"] == "application/json"
    assert list(made["responseJsonSchema"]["properties"]) == ["b", "a"]
    assert made["responseJsonSchema"]["description"] == "d"


def test_strict_tools_are_validated():
    tool = Tool(name="f", strict=True)

    body = written(chat(Text("x"), tools=(tool,)))

    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


NAMED = ToolChoice(mode=ToolChoiceMode.NAMED, name="f")
NONE = ToolChoice(mode=ToolChoiceMode.NONE)


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        ((Tool(name="f"),), None),
        ((Tool(name="f"), Tool(name="g")), NAMED),
        ((Tool(name="f"), Tool(name="g")), NONE),
    ],
)
def test_one_call_at_a_time_needs_no_word_where_no_second_tool_can_be_called(tools, choice):
    asked = chat(Text("x"), tools=tools, tool_choice=choice)

    assert written(msgspec.structs.replace(asked, parallel_tool_calls=False)) == written(asked)


@pytest.mark.parametrize(
    ("neutral", "field"),
    [
        (
            chat(Text("x"), tools=(Tool(name="f"), Tool(name="g")), parallel_tool_calls=False),
            "parallel_tool_calls",
        ),
        (chat(Text("x"), verbosity="low"), "verbosity"),
        (chat(Text("x"), reasoning_effort="xhigh"), "reasoning_effort"),
        (chat(Image(file_id="f")), "messages[0].parts[0].image.file_id"),
        (
            chat(File(data=b"x", media_type="a/b", is_cited=True)),
            "messages[0].parts[0].file.is_cited",
        ),
        (chat(File(data=b"?")), "messages[0].parts[0].file.media_type"),
        (chat(Text("x"), tools=(Tool(name="f", is_custom=True),)), "tools[0].custom"),
        (
            chat(Text("x"), extra_json=b'{"logit_bias":{"1":2}}', extra_dialect="openai_chat"),
            "logit_bias",
        ),
    ],
)
def test_what_gemini_cannot_do_is_named(neutral, field):
    with pytest.raises(UnsupportedError) as raised:
        written(neutral)

    assert raised.value.field == field


def test_arguments_that_are_no_object_are_refused():
    neutral = chat(ToolCall(id="a", name="f", arguments_json='{"x":'), role=Role.ASSISTANT)

    with pytest.raises(InvalidRequestError, match="arguments_json"):
        written(neutral)


def test_extras_in_geminis_own_terms_are_sent_and_replace_nothing():
    own = b'{"safetySettings":[],"generationConfig":{"speechConfig":{}}}'

    body = written(chat(Text("x"), temperature=0.5, extra_json=own))

    assert body["safetySettings"] == []
    assert body["generationConfig"] == {"temperature": 0.5, "speechConfig": {}}
    with pytest.raises(InvalidRequestError, match="maxOutputTokens"):
        written(chat(Text("x"), extra_json=b'{"generationConfig":{"maxOutputTokens":9}}'))


def test_hints_for_caches_are_left_out():
    assert written(chat(CachePoint(), Text("x")))["contents"][0]["parts"] == [{"text": "x"}]


def test_the_cap_is_never_exceeded():
    body = written(chat(Text("x"), max_output_tokens=500), output_cap=20)

    assert body["generationConfig"]["maxOutputTokens"] == 20


def function(tool):
    """A tool as far as Google's format can say it."""
    return msgspec.structs.replace(tool, strict=None, is_custom=False, format_json=b"")


@given(
    st.lists(prompts.map(lambda m: msgspec.structs.replace(m, name="")), min_size=1, max_size=3),
    st.lists(tools.map(function), max_size=2),
    st.none() | tool_choices,
)
def test_what_was_written_is_read_again(said, declared, choice):
    expressible = not any(tool.is_custom for tool in declared) and all(
        not getattr(part, "file_id", "") and not getattr(part, "detail", "")
        for message in said
        for part in message.parts
    )
    neutral = ChatRequest(
        model="m", messages=tuple(said), tools=tuple(declared), tool_choice=choice
    )
    if not expressible:
        with pytest.raises(UnsupportedError):
            write_request.write(neutral, "m", stream=False)
        return

    body = write_request.write(neutral, "m", stream=False)
    again = read(named(body, "models/m"))

    assert [m for m in again.messages if m.role is Role.USER] == [
        msgspec.structs.replace(m, parts=tuple(map(plain, m.parts)))
        for m in said
        if m.role is Role.USER
    ]
    assert again.tool_choice == choice
    assert [tool.name for tool in again.tools] == [tool.name for tool in declared]


def plain(part):
    """A part as Google's format gives it back: documents have no names, pictures elsewhere a type."""
    if isinstance(part, File):
        return msgspec.structs.replace(part, filename="")
    if isinstance(part, Image) and part.uri:
        return File(uri=part.uri)  # of no type that anybody knows
    return part


def test_the_edge_names_the_model_first():
    body = named(
        b'{"contents": [ ],"model":"gemini-x","seed":12345678901234567}', "models/gemini-x"
    )

    assert body == b'{"model":"models/gemini-x","contents":[ ],"seed":12345678901234567}'
    with pytest.raises(InvalidRequestError, match="model"):
        named(b'{"model": "models/other"}', "models/gemini-x")


def test_what_passes_through_keeps_its_bytes():
    body = b'{"model":"models/x","contents":[{"parts":[{"text":"\\u00e9 1.0"}]}],"new":1.50}'

    passed = passthrough.retarget(body, LATE)

    assert passed == b'{"contents":[{"parts":[{"text":"\\u00e9 1.0"}]}],"new":1.50}'


@pytest.mark.parametrize(
    "config_json",
    [
        b'{"maxOutputTokens":900,"topK":1.0}',
        b'{"max_output_tokens":900,"topK":1.0}',
        b'{"max\\u005foutput\\u005ftokens":900,"topK":1.0}',
        b'{"maxOutputTokens":"900","topK":1.0}',
    ],
)
@pytest.mark.parametrize(
    "name", [b"generationConfig", b"generation_config", b"generation\\u005fconfig"]
)
def test_no_spelling_escapes_the_cap(name, config_json):
    body = b'{"model":"models/x","contents":[],"%b":%b}' % (name, config_json)

    passed = json.loads(passthrough.retarget(body, LATE, 20))

    [made] = [value for key, value in passed.items() if in_camel_case(key) == "generationConfig"]
    assert [v for k, v in made.items() if in_camel_case(k) == "maxOutputTokens"] == [20]


def test_a_cap_is_added_where_there_is_no_bound():
    assert json.loads(passthrough.retarget(b'{"contents":[]}', LATE, 20)) == {
        "contents": [],
        "generationConfig": {"maxOutputTokens": 20},
    }


def test_turns_of_the_model_that_follow_one_another_are_one_message():
    chunks = [
        {"text": "Two ", "thought": True},
        {"text": "cities", "thought": True},
        {"text": "Hel"},
        {"text": "lo"},
        {"functionCall": {"name": "f", "id": "1", "args": {}}},
        {"functionCall": {"name": "f", "id": "2", "args": {}}},
    ]
    asked = [{"role": "model", "parts": [chunk]} for chunk in chunks]

    [message] = read(request(contents=asked)).messages

    assert message.role is Role.ASSISTANT
    assert message.parts == (
        Reasoning(text="Two cities"),
        Text("Hello"),
        ToolCall(id="1", name="f", arguments_json="{}"),
        ToolCall(id="2", name="f", arguments_json="{}"),
    )


def test_texts_of_one_turn_stay_apart():
    asked = [{"role": "model", "parts": [{"text": "a"}, {"text": "b"}]}]

    [message] = read(request(contents=asked)).messages

    assert message.parts == (Text("a"), Text("b"))


def sealed(origin):
    return base64.b64encode(signatures.seal(signatures.Signature(b"x", origin)).encode()).decode()


def test_signatures_of_other_upstreams_do_not_reach_gemini():
    foreign, own = sealed("anthropic_messages"), SIGNATURE
    parts = [
        {"text": "hm", "thought": True, "thoughtSignature": foreign},
        {"text": "hello", "thought_signature": foreign},
        {"text": "", "thoughtSignature": foreign},
        {"functionCall": {"name": "f", "args": {"n": 1.0}}},
    ]
    body = json.dumps(
        {
            "contents": [
                {"role": "model", "parts": [{"text": "a", "thoughtSignature": own}]},
                {"role": "model", "parts": parts},
                {"role": "model", "parts": parts[:1]},
            ]
        }
    ).encode()

    first, second = json.loads(passthrough.retarget(body, LATE))["contents"]

    assert first == {"role": "model", "parts": [{"text": "a", "thoughtSignature": own}]}
    assert second["parts"] == [
        {"text": "hello"},
        {"functionCall": {"name": "f", "args": {"n": 1.0}}, "thoughtSignature": UNSIGNED},
    ]


@pytest.mark.parametrize("contents", ['"bWcxL"', '[{"parts":["bWcxL"]}]', '[{"x":"bWcxL"}]'])
def test_contents_that_are_none_are_for_gemini_to_refuse(contents):
    body = b'{"contents":' + contents.encode() + b"}"

    assert json.loads(passthrough.retarget(body, LATE)) in (json.loads(body), {"contents": []})


def says(role, *parts):
    return {"role": role, "parts": list(parts)}


ASKED_FOR = says("user", {"text": "the weather?"})
CALL_OF_F = {"functionCall": {"name": "f", "args": {"n": 1.0}}}
CALLED_TOO = {"functionCall": {"name": "g", "args": {}}}
RESULT_OF_F = {"functionResponse": {"name": "f", "response": {"output": "sunny"}}}
MARKED = CALL_OF_F | {"thoughtSignature": UNSIGNED}
OWN_CALL = CALL_OF_F | {"thoughtSignature": SIGNATURE}


def passed_on(*contents, model=LATE):
    body = json.dumps({"contents": contents}).encode()
    return json.loads(passthrough.retarget(body, model))["contents"]


def test_every_step_of_the_current_turn_begins_with_a_call_that_is_signed():
    conversation = (
        ASKED_FOR,
        says("model", {"text": "I will look."}, CALL_OF_F, CALLED_TOO),
        says("user", RESULT_OF_F, RESULT_OF_F),
        says("model", CALL_OF_F),
        says("user", RESULT_OF_F),
    )

    told = passed_on(*conversation)

    assert told[1] == says("model", {"text": "I will look."}, MARKED, CALLED_TOO)
    assert told[3] == says("model", MARKED)
    assert (told[0], told[2], told[4]) == (conversation[0], conversation[2], conversation[4])


@pytest.mark.parametrize(
    "conversation",
    [
        (ASKED_FOR, says("model", OWN_CALL, CALLED_TOO), says("user", RESULT_OF_F, RESULT_OF_F)),
        # Streams are kept chunk by chunk: what follows each other is one step.
        (
            ASKED_FOR,
            says("model", OWN_CALL),
            says("model", CALLED_TOO),
            says("user", RESULT_OF_F, RESULT_OF_F),
        ),
        (
            ASKED_FOR,
            says("model", CALL_OF_F),
            says("user", RESULT_OF_F),
            says("model", {"text": "sunny"}),
            ASKED_FOR,
        ),
        (
            ASKED_FOR,
            says("model", CALL_OF_F | {"thought_signature": SIGNATURE}),
            says("user", RESULT_OF_F),
        ),
        (ASKED_FOR, says("model", {"text": "functionCall"}), ASKED_FOR),
    ],
    ids=["signed", "in chunks", "of an earlier turn", "otherwise spelled", "none"],
)
def test_calls_that_need_no_word_keep_their_bytes(conversation):
    assert passed_on(*conversation) == list(conversation)


@pytest.mark.parametrize(
    ("model", "is_marked"),
    [
        (EARLY, False),
        ("gemini-flash-latest", False),
        ("gemini-3-flash-preview", True),
        ("gemini-3.1-pro", True),
        ("models/gemini-10-pro", True),
    ],
)
def test_only_models_that_demand_signatures_are_told_of_calls_of_others(model, is_marked):
    told = passed_on(ASKED_FOR, says("model", CALL_OF_F), says("user", RESULT_OF_F), model=model)

    assert (told[1] == says("model", MARKED)) is is_marked


@pytest.mark.parametrize(
    "contents",
    ['{"functionCall":1}', '["functionCall"]', '[{"role":"model","parts":{"functionCall":1}}]'],
)
def test_contents_with_calls_that_are_none_are_for_gemini_to_refuse(contents):
    body = b'{"contents":' + contents.encode() + b"}"

    assert passthrough.retarget(body, LATE) == body


def test_a_round_that_began_elsewhere_goes_on_with_gemini():
    """An answer of an upstream that signs nothing, sent back as Google's SDK has it."""
    call = {"name": "f", "arguments": '{"n": 1.0}'}
    message = {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": call}]}
    body = {
        "id": "x",
        "model": "m",
        "choices": [{"message": message, "finish_reason": "tool_calls"}],
    }
    told = translator("gemini_generate", "openai_chat").answer(json.dumps(body).encode(), created=1)
    [candidate] = json.loads(told.body)["candidates"]

    contents = passed_on(ASKED_FOR, candidate["content"], says("user", RESULT_OF_F))

    assert contents[1]["parts"][0]["thoughtSignature"] == UNSIGNED
