"""Calls that the caller's dialect has no form for are told in the nearest one: they are paid for."""

import json

import pytest
from anthropic.types import Message as SdkMessage
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.anthropic_messages import grammar as anthropic_grammar
from meshgate.dialects.gemini_generate import grammar as gemini_grammar
from meshgate.dialects.neutral import (
    ChatResponse,
    Finished,
    FinishReason,
    Message,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from meshgate.dialects.plain_calls import PlainCalls, arguments_of
from meshgate.dialects.retelling import Collector, events_of
from meshgate.dialects.translation import CHAT_DIALECTS, translator

DIALECTS = pytest.mark.parametrize("caller", ["anthropic_messages", "gemini_generate"])
GRAMMARS = {
    "anthropic_messages": anthropic_grammar.check,
    "gemini_generate": gemini_grammar.check,
}
TEXT = 'print("é")\n\\ \U0001f600'


def answer(*parts, reason=FinishReason.TOOL_CALLS):
    message = Message(role=Role.ASSISTANT, parts=parts)
    return ChatResponse(id="m", served_model="m", message=message, finish_reason=reason)


def custom(number, text):
    return ToolCall(id=f"call_{number}", name="run", arguments_json=text, is_custom=True)


def plainly_told(caller, response):
    dialect = CHAT_DIALECTS[caller]
    return dialect.read_response(dialect.write_response(response, created=1)).message.parts


def told_in_pieces(caller, events):
    dialect = CHAT_DIALECTS[caller]
    written = dialect.stream_writer(created=1, include_usage=True).write(events)
    GRAMMARS[caller](written)
    collector = Collector(dialect.stream_reader(), 1_000_000)
    collector.take(written)
    whole = collector.response(None)
    assert whole is not None
    return whole.message.parts


def inputs(parts):
    return [json.loads(part.arguments_json) for part in parts if isinstance(part, ToolCall)]


@DIALECTS
@pytest.mark.parametrize("way", ["plain", "streamed"])
def test_the_text_of_custom_tools_is_an_argument(caller, way):
    response = answer(Text("Look."), custom(1, TEXT), custom(2, ""), Text("Done."))

    if way == "plain":
        parts = plainly_told(caller, response)
    else:
        parts = told_in_pieces(caller, events_of(response))

    assert inputs(parts) == [{"input": TEXT}, {"input": ""}]
    assert "".join(part.text for part in parts if isinstance(part, Text)) == "Look.Done."


@DIALECTS
@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=6)), max_size=12))
def test_fragments_of_custom_calls_side_by_side_stay_apart(caller, pieces):
    texts, events = {}, [Started(id="m", served_model="m")]
    for said, fragment in pieces:
        index = min(said, len(texts))
        is_new = index not in texts
        texts[index] = texts.get(index, "") + fragment
        identity = {"id": f"call_{index}", "name": "run", "is_custom": True} if is_new else {}
        events.append(ToolCallDelta(index=index, arguments_fragment=fragment, **identity))
    events += [TextDelta("Done."), Finished(reason=FinishReason.TOOL_CALLS)]

    assert inputs(told_in_pieces(caller, events)) == [{"input": text} for text in texts.values()]


@DIALECTS
@pytest.mark.parametrize("arguments", ['{"city": "Par', "[1]", '"Paris"', "{oops}"])
def test_arguments_that_are_no_object_are_told_as_such(caller, arguments):
    call = ToolCall(id="call_1", name="f", arguments_json=arguments)

    parts = plainly_told(caller, answer(call, reason=FinishReason.LENGTH))

    assert inputs(parts) == [{"INVALID_JSON": arguments}]


def test_a_call_that_breaks_off_reaches_the_anthropic_sdk():
    call = {"name": "f", "arguments": '{"city": "Par'}
    message = {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": call}]}
    body = {"id": "x", "model": "m", "choices": [{"message": message, "finish_reason": "length"}]}

    told = translator("anthropic_messages", "openai_chat").answer(
        json.dumps(body).encode(), created=1
    )

    sdk = SdkMessage.model_validate_json(told.body, strict=True)
    assert sdk.stop_reason == "max_tokens"
    assert sdk.content[0].input == {"INVALID_JSON": '{"city": "Par'}


@DIALECTS
def test_text_amid_a_call_does_not_break_it(caller):
    events = [
        Started(id="m", served_model="m"),
        ToolCallDelta(index=0, id="c", name="f", arguments_fragment='{"a"'),
        TextDelta("Look."),
        ToolCallDelta(index=0, arguments_fragment=":{}}"),
        ToolCallDelta(index=1, id="d", name="g"),
        Finished(reason=FinishReason.TOOL_CALLS),
    ]

    parts = told_in_pieces(caller, events)

    assert inputs(parts) == [{"a": {}}, {}]
    assert [part for part in parts if isinstance(part, Text)] == [Text("Look.")]


@pytest.mark.parametrize("arguments", ["", " ", "{}"])
def test_no_arguments_are_an_empty_object(arguments):
    assert arguments_of(ToolCall(id="c", name="f", arguments_json=arguments)) == b"{}"


def test_other_calls_pass_as_they_come():
    events = [
        Started(id="m", served_model="m"),
        ToolCallDelta(index=0, id="c", name="f", arguments_fragment='{"a"'),
        ToolCallDelta(index=0, arguments_fragment=":1}"),
        Finished(reason=FinishReason.TOOL_CALLS),
    ]
    plain = PlainCalls()

    assert [it for event in events for it in plain.take(event)] == events
