"""Forms: https://docs.cohere.com/reference/chat, https://docs.cohere.com/docs/streaming, cohere-python
7.3.1 (`src/cohere/v2`); what is billed: https://docs.cohere.com/docs/how-does-cohere-pricing-work."""

import json

import pytest
from dialects.neutral_values import read_sizes, requests, split
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects.answers import CutStreamError, MalformedAnswerError
from meshgate.dialects.cohere_chat import grammar as wire_grammar
from meshgate.dialects.cohere_chat.read_response import StreamReader, read
from meshgate.dialects.cohere_chat.write_request import write
from meshgate.dialects.grammar import GrammarError, check
from meshgate.dialects.neutral import (
    Audio,
    CachePoint,
    ChatRequest,
    Citation,
    CitationDelta,
    File,
    Finished,
    FinishReason,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Usage,
)
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

HELLO = Message(role=Role.USER, parts=(Text("Hello"),))
TOOLS = (Tool(name="f", parameters_json=b'{"type":"object"}'), Tool(name="g", description="G."))
BILLED = {
    "billed_units": {"input_tokens": 6772, "output_tokens": 248},
    "tokens": {"input_tokens": 7596, "output_tokens": 645},
    "cached_tokens": 32,
}
USAGE = Usage(input_tokens=6772, cached_input_tokens=32, output_tokens=248)
SOURCE = {"type": "document", "id": "doc:1", "document": {"title": "Sky", "url": "u://sky"}}


def written(*messages, output_cap=None, **members):
    request = ChatRequest(model="public", messages=messages or (HELLO,), **members)
    return json.loads(write(request, "command-a", stream=True, output_cap=output_cap))


def turn(*parts, role=Role.USER):
    return written(Message(role=role, parts=parts))["messages"][0]


def refused_field(*messages, **members):
    with pytest.raises(UnsupportedError) as refused:
        written(*messages, **members)
    return refused.value.field


def answer(finish_reason="COMPLETE", usage=BILLED, **message):
    whole = {"id": "a1", "finish_reason": finish_reason, "usage": usage}
    return json.dumps(whole | {"message": {"role": "assistant", **message}}).encode()


def event(kind, message=None, **members):
    if message is not None:
        members["delta"] = {"message": message}
    data = json.dumps({"type": kind, **members}).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def end(reason="COMPLETE", usage=BILLED, **more):
    return event("message-end", delta={"finish_reason": reason, "usage": usage, **more})


def call(index, kind, **function):
    more = {"id": f"f_{index}", "type": "function"} if kind == "start" else {}
    return event(f"tool-call-{kind}", {"tool_calls": {**more, "function": function}}, index=index)


START = event(
    "message-start",
    {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []},
    id="a1",
)
CITED = {"start": 3, "end": 7, "text": "blue", "sources": [SOURCE], "content_index": 1}
WHOLE = [
    START,
    event("content-start", {"content": {"type": "thinking", "thinking": ""}}, index=0),
    event("content-delta", {"content": {"thinking": "Hm."}}, index=0),
    event("content-end", index=0),
    event("content-start", {"content": {"type": "text", "text": ""}}, index=1),
    event("content-delta", {"content": {"text": "It "}}, index=1),
    event("content-delta", {"content": {"text": "blue"}}, index=1),
    event("citation-start", {"citations": {**CITED, "type": "TEXT_CONTENT"}}, index=0),
    event("citation-end", index=0),
    event("content-end", index=1),
    event("tool-plan-delta", {"tool_plan": "I will look."}),
    call(0, "start", name="f", arguments=""),
    call(0, "delta", arguments='{"a":'),
    call(0, "delta", arguments="1}"),
    event("tool-call-end", index=0),
    call(1, "start", name="g", arguments="{}"),
    event("tool-call-end", index=1),
    end("TOOL_CALL"),
]


def events_of(*pieces):
    reader = StreamReader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


def test_a_question_has_parameters():
    body = written(
        Message(role=Role.SYSTEM, parts=(Text("Be brief."), CachePoint())),
        HELLO,
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        seed=7,
        stop_sequences=("END",),
        frequency_penalty=0.1,
        user="u",
        metadata={"a": "b"},
    )

    assert body == {
        "model": "command-a",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
        ],
        "stream": True,
        "max_tokens": 100,
        "temperature": 0.5,
        "p": 0.9,
        "k": 5,
        "seed": 7,
        "stop_sequences": ["END"],
        "frequency_penalty": 0.1,
    }


def test_pictures_are_sent_along():
    parts = turn(Text("a"), Image(data=b"png", media_type="image/png", detail="low"))["content"]

    url = "data:image/png;base64,cG5n"
    assert parts[1] == {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def test_texts_to_be_cited_stand_beside_the_conversation():
    file = File(data=b"It is blue.", media_type="text/plain", filename="sky.txt", is_cited=True)
    body = written(Message(role=Role.USER, parts=(Text("Why?"), file)))

    data = {"text": "It is blue.", "title": "sky.txt"}
    assert body["documents"] == [{"id": "doc:0", "data": data}]
    assert "citation_options" not in body
    assert body["messages"] == [{"role": "user", "content": "Why?"}]


def test_nothing_is_cited_that_nobody_asked_for():
    assert written(tools=TOOLS)["citation_options"] == {"mode": "OFF"}
    own = {"citation_options": {"mode": "FAST"}}
    body = written(tools=TOOLS, extra_json=json.dumps(own).encode())
    assert body["citation_options"] == {"mode": "FAST"}


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (Audio(data=b"x", format="wav"), "audio"),
        (File(data=b"x", media_type="application/pdf"), "file"),
        (Image(uri="https://x.example/a.png", detail="huge"), "image.detail"),
        (Refusal("no"), "refusal"),
    ],
)
def test_what_a_user_cannot_say_here_is_refused_by_name(part, field):
    assert refused_field(Message(role=Role.USER, parts=(part,))) == f"messages[0].parts[0].{field}"


def test_calls_have_a_plan_and_results():
    said = turn(
        Reasoning(text="I will look."),
        Reasoning(text="secret", signature=b"x", origin="gemini_generate"),
        ToolCall(id="t1", name="f", arguments_json='{"a":1}'),
        role=Role.ASSISTANT,
    )
    result = turn(ToolResult(tool_call_id="t1", content=(Text("1"),)), role=Role.TOOL)

    function = {"name": "f", "arguments": '{"a":1}'}
    assert said == {
        "role": "assistant",
        "tool_plan": "I will look.",
        "tool_calls": [{"id": "t1", "type": "function", "function": function}],
    }
    assert result == {"role": "tool", "tool_call_id": "t1", "content": "1"}


def test_thoughts_without_calls_are_told_as_thoughts():
    said = turn(Reasoning(text="Hm."), Text("Hi"), role=Role.ASSISTANT)

    thinking, text = {"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hi"}
    assert said["content"] == [thinking, text]


def test_a_failed_tool_is_told_as_failed():
    failed = ToolResult(tool_call_id="t1", content=(Text("no such city"),), is_error=True)

    [content] = turn(failed, role=Role.TOOL)["content"]

    assert content == {"type": "document", "document": {"data": {"error": "no such city"}}}


@pytest.mark.parametrize(
    ("choice", "told", "names"),
    [
        (ToolChoice(mode=ToolChoiceMode.AUTO), None, ["f", "g"]),
        (ToolChoice(mode=ToolChoiceMode.REQUIRED), "REQUIRED", ["f", "g"]),
        (ToolChoice(mode=ToolChoiceMode.NONE), "NONE", ["f", "g"]),
        (ToolChoice(mode=ToolChoiceMode.NAMED, name="g"), "REQUIRED", ["g"]),
    ],
)
def test_a_choice_among_tools_is_told(choice, told, names):
    body = written(tools=TOOLS, tool_choice=choice)

    assert body.get("tool_choice") == told
    assert [tool["function"]["name"] for tool in body["tools"]] == names


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"reasoning_budget_tokens": 500}, {"type": "enabled", "token_budget": 500}),
        ({"reasoning_budget_tokens": 0}, {"type": "disabled"}),
        ({"reasoning_effort": "none"}, {"type": "disabled"}),
        ({"reasoning_effort": "high"}, {"type": "enabled"}),
    ],
)
def test_how_much_to_think_is_told(asked, told):
    assert written(**asked)["thinking"] == told


def test_the_form_of_an_answer_is_told():
    schema = ResponseFormat(kind=ResponseFormatKind.JSON_SCHEMA, schema_json=b'{"type":"object"}')

    assert written(response_format=ResponseFormat(kind=ResponseFormatKind.JSON_OBJECT))[
        "response_format"
    ] == {"type": "json_object"}
    assert written(response_format=schema)["response_format"] == {
        "type": "json_object",
        "json_schema": {"type": "object"},
    }


def test_strictness_is_of_all_tools_or_none():
    strict = tuple(Tool(name=name, strict=True) for name in "ab")

    assert written(tools=strict)["strict_tools"] is True
    assert refused_field(tools=(*strict, Tool(name="c"))) == "tools.strict"


@pytest.mark.parametrize(
    "members",
    [
        {"verbosity": "low"},
        {"shows_reasoning": False},
        {"reasoning_effort": "xhigh"},
        {"parallel_tool_calls": False, "tools": TOOLS},
        {"tool_choice": ToolChoice(mode=ToolChoiceMode.NAMED, name="x"), "tools": TOOLS},
    ],
)
def test_parameters_that_cannot_be_told_are_refused_by_name(members):
    assert refused_field(**members) == next(iter(members))


@pytest.mark.parametrize(
    "members",
    [
        {"tools": TOOLS[:1]},
        {"tools": TOOLS, "tool_choice": ToolChoice(mode=ToolChoiceMode.NAMED, name="g")},
        {"tools": TOOLS, "tool_choice": ToolChoice(mode=ToolChoiceMode.NONE)},
    ],
)
def test_one_call_at_a_time_needs_no_word_where_no_second_tool_can_be_called(members):
    assert written(**members, parallel_tool_calls=False) == written(**members)


def test_the_gateways_bound_holds():
    assert written(max_output_tokens=500, output_cap=100)["max_tokens"] == 100


@given(requests)
@settings(deadline=None)
def test_any_request_is_written_as_json_or_refused_by_name(request):
    refusal, body = None, {"messages": []}
    try:
        body = json.loads(write(request, "m", stream=False))
    except (UnsupportedError, InvalidRequestError) as error:
        refusal = error

    assert refusal is None or refusal.field
    assert refusal is not None or len(body["messages"]) >= 1 or "documents" in body


def test_an_answer_is_read_in_order_with_what_is_billed():
    content = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "It blue"}]
    function = {"name": "f", "arguments": '{"a":1}'}
    response = read(
        answer(
            "TOOL_CALL",
            tool_plan="I will look.",
            content=content,
            citations=[CITED, {**CITED, "type": "PLAN"}],
            tool_calls=[{"id": "f_0", "type": "function", "function": function}],
        )
    )

    cited = Citation(uri="u://sky", title="Sky", document=1, start=3, end=7)
    assert response.id == "a1"
    assert response.message.parts == (
        Reasoning(text="I will look."),
        Reasoning(text="Hm."),
        Text("It blue", (cited,)),
        ToolCall(id="f_0", name="f", arguments_json='{"a":1}'),
    )
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert response.usage == USAGE


def test_what_was_used_counts_where_nothing_is_billed():
    response = read(answer(usage={"tokens": {"input_tokens": 5.0, "output_tokens": 2.0}}))

    assert response.usage == Usage(input_tokens=5, output_tokens=2)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("STOP_SEQUENCE", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("ERROR_TOXIC", FinishReason.CONTENT_FILTER),
        ("OF_TOMORROW", FinishReason.UNSPECIFIED),
    ],
)
def test_why_an_answer_ended_is_read(told, meant):
    assert read(answer(told)).finish_reason is meant


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'{"message":"no"}',
        answer("ERROR"),
        answer("TIMEOUT"),
        answer(tool_calls=[{"id": "x"}]),
        answer()[:-1],
    ],
)
def test_what_is_no_good_answer_is_malformed(body):
    with pytest.raises(MalformedAnswerError):
        read(body)


def test_a_stream_is_read_as_it_comes():
    events = events_of(*WHOLE)

    assert events == [
        Started(id="a1", served_model=""),
        ReasoningDelta("Hm."),
        TextDelta("It "),
        TextDelta("blue"),
        CitationDelta(Citation(uri="u://sky", title="Sky", document=1, start=3, end=7)),
        ReasoningDelta("I will look."),
        ToolCallDelta(index=0, id="f_0", name="f"),
        ToolCallDelta(index=0, arguments_fragment='{"a":'),
        ToolCallDelta(index=0, arguments_fragment="1}"),
        ToolCallDelta(index=1, id="f_1", name="g", arguments_fragment="{}"),
        Finished(reason=FinishReason.TOOL_CALLS, usage=USAGE),
    ]
    check(events)
    wire_grammar.check(b"".join(WHOLE) + b"data: [DONE]\n\n")


@given(read_sizes)
@settings(deadline=None)
def test_a_stream_is_the_same_however_it_is_cut(sizes):
    assert events_of(*split(sizes, b"".join(WHOLE))) == events_of(*WHOLE)


@given(st.integers(0, len(b"".join(WHOLE[:-1]))), read_sizes)
@settings(deadline=None)
def test_a_stream_that_is_cut_off_never_looks_whole(length, sizes):
    reader = StreamReader()
    for part in split(sizes, b"".join(WHOLE)[:length]):
        reader.feed(part)

    with pytest.raises(CutStreamError):
        reader.close()
    assert not reader.done


def test_places_of_citations_are_those_in_all_of_the_text():
    events = events_of(
        START,
        event("content-delta", {"content": {"text": "12345"}}, index=0),
        event("content-delta", {"content": {"text": "It blue"}}, index=1),
        event("citation-start", {"citations": CITED}, index=0),
        end(),
    )

    assert [(it.citation.start, it.citation.end) for it in events[3:4]] == [(8, 12)]


@pytest.mark.parametrize(
    ("reason", "kind"), [("ERROR", "server_error"), ("TIMEOUT", "timeout"), (None, "server_error")]
)
def test_a_generation_that_fails_is_an_error_and_no_end(reason, kind):
    reader = StreamReader()
    reader.feed(START + end(reason, error="the model broke"))

    assert reader.error is not None
    assert (reader.error.type, reader.error.message) == (kind, "the model broke")
    assert not reader.done
    assert reader.close() == []


def test_a_call_without_a_name_is_malformed():
    with pytest.raises(MalformedAnswerError):
        StreamReader().feed(START + call(0, "delta", arguments="{}"))


@pytest.mark.parametrize(
    "pieces",
    [
        WHOLE[1:],
        WHOLE[:-1],
        [*WHOLE, end()],
        [START, WHOLE[2], end()],
        [START, WHOLE[1], end()],
        [START, event("of-tomorrow"), end()],
    ],
)
def test_streams_that_break_the_grammar_are_found_out(pieces):
    with pytest.raises(GrammarError):
        wire_grammar.check(b"".join(pieces))
