import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.neutral import (
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
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from meshgate.dialects.openai_chat.read_request import read
from meshgate.dialects.openai_chat.write_request import write
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

HELLO = [{"role": "user", "content": "Hi"}]


def body(**members):
    return json.dumps({"model": "m", "messages": HELLO} | members).encode()


def read_message(**message):
    return read(body(messages=[message])).messages[0]


def request(*parts, role=Role.USER, **members):
    return ChatRequest(model="m", messages=(Message(role=role, parts=parts),), **members)


def test_a_conversation_with_tools_is_read_whole():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}

    read_request = read(
        body(
            messages=[
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Go"}], "name": "ann"},
                {
                    "role": "assistant",
                    "content": None,
                    "reasoning_content": "hm",
                    "tool_calls": [call],
                },
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "ok"}]},
            ],
            tool_choice={"type": "function", "function": {"name": "f"}},
            stop="END",
            max_tokens=5,
        )
    )

    assert read_request.messages == (
        Message(role=Role.SYSTEM, parts=(Text("Be brief."),)),
        Message(role=Role.USER, parts=(Text("Go"),), name="ann"),
        Message(
            role=Role.ASSISTANT,
            parts=(
                Reasoning(text="hm"),
                ToolCall(id="c1", name="f", arguments_json='{"a": 1}'),
            ),
        ),
        Message(role=Role.TOOL, parts=(ToolResult(tool_call_id="c1", content=(Text("ok"),)),)),
    )
    assert read_request.tool_choice == ToolChoice(mode=ToolChoiceMode.NAMED, name="f")
    assert read_request.stop_sequences == ("END",)
    assert read_request.max_output_tokens == 5


def test_pictures_and_documents_are_read_from_data_uris():
    picture = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,QUI=", "detail": "low"},
    }
    document = {"type": "file", "file": {"file_data": "QUI=", "filename": "a.txt"}}

    message = read_message(role="user", content=[picture, document])

    assert message.parts == (
        Image(data=b"AB", media_type="image/png", detail="low"),
        File(data=b"AB", filename="a.txt"),
    )


def test_an_answer_sent_back_as_an_sdk_dumps_it_is_taken():
    message = read_message(
        role="assistant",
        content="Hi",
        refusal=None,
        audio=None,
        function_call=None,
        tool_calls=None,
        annotations=[],
    )

    assert message == Message(role=Role.ASSISTANT, parts=(Text("Hi"),))


def test_members_that_only_steer_the_upstream_pass_as_extra():
    read_request = read(body(logit_bias={"5": 1}, tomorrow=[1], stream=True))

    assert msgspec.json.decode(read_request.extra_json) == {
        "logit_bias": {"5": 1},
        "tomorrow": [1],
    }


def test_members_that_ask_for_nothing_are_dropped():
    read_request = read(body(n=1, logprobs=False, modalities=["text"], audio=None, functions=[]))

    assert read_request.extra_json == b""


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"prediction": {}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "new": 1}}]},
            "tools[0].function.new",
        ),
        ({"messages": [{"role": "user", "content": "Hi", "prefix": True}]}, "messages[0].prefix"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        ({"messages": [{"role": "assistant", "function_call": {}}]}, "messages[0].function_call"),
        ({"messages": [{"role": "user", "content": "Hi", "refusal": "no"}]}, "messages[0].refusal"),
        (
            {
                "messages": [
                    {
                        "role": "tool",
                        "tool_call_id": "c",
                        "content": [
                            {
                                "type": "input_audio",
                                "input_audio": {"data": "QQ==", "format": "wav"},
                            }
                        ],
                    }
                ]
            },
            "messages[0].content[0]",
        ),
    ],
)
def test_what_the_neutral_form_cannot_express_is_refused_by_name(members, field):
    with pytest.raises(UnsupportedError) as caught:
        read(body(**members))

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"messages": [{"role": "wizard", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 10**12}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}
                        ],
                    }
                ]
            },
            "messages[0].content[0].input_audio.data",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(members, field):
    with pytest.raises(InvalidRequestError) as caught:
        read(body(**members))

    assert caught.value.field == field


def test_a_description_of_the_answers_schema_is_kept():
    wanted = ResponseFormat(
        kind=ResponseFormatKind.JSON_SCHEMA, name="n", description="d", schema_json=b"{}"
    )

    written = write(request(Text("Hi"), response_format=wanted), "m", stream=False)

    assert read(written).response_format == wanted


def test_one_text_is_written_as_a_string():
    written = write(request(Text("Hi")), "m", stream=False)

    assert written == b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'


def test_results_of_several_tools_become_messages_of_their_own():
    results = (
        ToolResult(tool_call_id="a", content=(Text("1"),)),
        ToolResult(tool_call_id="b", content=(Text("2"),)),
    )

    written = write(request(*results, role=Role.TOOL), "m", stream=False)

    messages = msgspec.json.decode(written)["messages"]
    assert [message["tool_call_id"] for message in messages] == ["a", "b"]


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (request(Refusal("no")), "messages[0].parts[0].refusal"),
        (request(Image(uri="x"), role=Role.SYSTEM), "messages[0].parts[0].image"),
        (
            request(Text("a"), ToolResult(tool_call_id="c")),
            "messages[0].parts[1].tool_result",
        ),
        (request(Image(file_id="f")), "messages[0].parts[0].image.file_id"),
        (request(File(uri="x")), "messages[0].parts[0].file.uri"),
        (request(File(file_id="f", is_cited=True)), "messages[0].parts[0].file.cited"),
        (
            request(
                ToolResult(tool_call_id="c", content=(Text("a"), Image(uri="x"))), role=Role.TOOL
            ),
            "messages[0].parts[0].tool_result.content[1].image",
        ),
        (request(Text("a"), extra_json=b'{"n":2}'), "extra_json.n"),
    ],
)
def test_what_this_dialect_cannot_express_is_refused_by_name(refused, field):
    with pytest.raises(UnsupportedError) as caught:
        write(refused, "m", stream=False)

    assert caught.value.field == field


@pytest.mark.parametrize(
    "extra_json",
    [
        b'{"model":"dear"}',
        b'{"\\u006dodel":"dear"}',
        b'{"stream":true}',
        b"[]",
        b"{",
        b'{"a":"\xff"}',
    ],
)
def test_extra_members_cannot_replace_what_the_request_says(extra_json):
    with pytest.raises(InvalidRequestError):
        write(request(Text("a"), extra_json=extra_json), "m", stream=False)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "role", "content", "function", "name", "url", "data"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["messages", "tools", "tool_choice", "response_format", "stop", "metadata"]
        ),
        json_values | st.lists(json_values, max_size=2),
    )
)
def test_no_request_breaks_the_reader(members):
    with suppress(InvalidRequestError):
        read(body(**members))
