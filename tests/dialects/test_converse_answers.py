"""Forms of answers: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
and API_runtime_ConverseStream.html, botocore's model of the service, and the guide on prompt caching."""

import base64
import json
from contextlib import suppress

import pytest
from dialects.neutral_values import read_sizes, split
from hypothesis import given, settings
from hypothesis import strategies as st
from upstream.event_stream import event, exception, message

from meshgate.dialects.answers import (
    AnswerError,
    CutStreamError,
    MalformedAnswerError,
    UpstreamErrorEvent,
)
from meshgate.dialects.bedrock_converse import grammar as wire_grammar
from meshgate.dialects.bedrock_converse.read_response import StreamReader, read
from meshgate.dialects.grammar import GrammarError, check
from meshgate.dialects.neutral import (
    Citation,
    CitationDelta,
    Finished,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

NAME = "bedrock_converse"
TOKENS = {"inputTokens": 30, "outputTokens": 20, "totalTokens": 50}


def answer(*content, stop_reason="end_turn", usage=None, **members):
    whole = {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": stop_reason,
        "usage": TOKENS if usage is None else usage,
        "metrics": {"latencyMs": 551},
    }
    return json.dumps(whole | members).encode()


def delta(block, **members):
    return event("contentBlockDelta", delta=members, contentBlockIndex=block)


def stop(block):
    return event("contentBlockStop", contentBlockIndex=block)


def begin_call(block, call_id, name, **more):
    use = {"toolUseId": call_id, "name": name, **more}
    return event("contentBlockStart", start={"toolUse": use}, contentBlockIndex=block)


KINDS = ["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata", "x"]
MEMBERS = ["contentBlockIndex", "start", "delta", "toolUse", "text", "reasoningContent", "usage"]
START = event("messageStart", role="assistant")
STOP = event("messageStop", stopReason="tool_use")
END = event("metadata", usage=TOKENS, metrics={"latencyMs": 7}, serviceTier={"type": "priority"})
WHOLE = [
    START,
    delta(0, reasoningContent={"text": "Paris? "}),
    delta(0, reasoningContent={"text": "Paris."}),
    delta(0, reasoningContent={"signature": "c2ln"}),
    stop(0),
    delta(1, text="Let me "),
    delta(1, text="see."),
    stop(1),
    begin_call(2, "tooluse_1", "weather"),
    delta(2, toolUse={"input": '{"city":'}),
    delta(2, toolUse={"input": '"Paris"}'}),
    stop(2),
    begin_call(3, "tooluse_2", "now"),
    stop(3),
    STOP,
    END,
]


def reader():
    return StreamReader(new_id=lambda: "id-1")


def events_of(*pieces):
    one = reader()
    return [event for piece in pieces for event in one.feed(piece)] + one.close()


def test_a_text_is_read_with_its_usage():
    response = read(answer({"text": "Hi"}))

    assert response.message.parts == (Text("Hi"),)
    assert response.finish_reason is FinishReason.STOP
    assert response.usage == Usage(input_tokens=30, output_tokens=20)
    assert response.served_model == ""
    assert response.id.startswith("converse-")


def test_thoughts_calls_and_citations_are_read_in_order():
    place = {"documentPage": {"documentIndex": 1, "start": 3, "end": 4}}
    source = [{"text": "It is "}, {"text": "blue."}]
    response = read(
        answer(
            {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": base64.b64encode(b"\x00\xff").decode()}},
            {
                "citationsContent": {
                    "content": [{"text": "Blue"}],
                    "citations": [{"title": "Sky", "sourceContent": source, "location": place}],
                }
            },
            {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": [1, 2.5]}}},
            stop_reason="tool_use",
        )
    )

    cited = Citation(
        title="Sky",
        quoted="It is blue.",
        document=1,
        start=0,
        end=4,
        source_unit="page",
        source_start=3,
        source_end=4,
    )
    assert response.message.parts == (
        Reasoning(text="Hm", signature=b"c2ln", origin=NAME),
        Reasoning(text="", signature=b"\x00\xff", origin=NAME, is_redacted=True),
        Text("Blue", (cited,)),
        ToolCall(id="t1", name="f", arguments_json='{"a": [1, 2.5]}'),
    )
    assert response.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("stop_sequence", FinishReason.STOP),
        ("guardrail_intervened", FinishReason.CONTENT_FILTER),
        ("content_filtered", FinishReason.CONTENT_FILTER),
        ("malformed_tool_use", FinishReason.UNSPECIFIED),
        ("of_tomorrow", FinishReason.UNSPECIFIED),
    ],
)
def test_why_an_answer_ended_is_read(told, meant):
    assert read(answer({"text": "Hi"}, stop_reason=told)).finish_reason is meant


def test_the_sequence_that_ended_an_answer_is_told():
    own = {"additionalModelResponseFields": {"stop_sequence": "END"}}

    response = read(answer({"text": "Hi"}, stop_reason="stop_sequence", **own))
    events = events_of(START, event("messageStop", stopReason="stop_sequence", **own), END)

    assert response.stop_sequence == "END"
    assert events[-1].stop_sequence == "END"
    assert events[-1].reason is FinishReason.STOP


def test_what_the_cache_had_a_part_in_is_added_to_the_input():
    cached = {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 40}
    details = [{"ttl": "1h", "inputTokens": 25}, {"ttl": "5m", "inputTokens": 15}]
    usage = TOKENS | cached | {"totalTokens": 190, "cacheDetails": details}

    response = read(answer({"text": "Hi"}, usage=usage, serviceTier={"type": "flex"}))

    assert response.usage == Usage(
        input_tokens=170,
        cached_input_tokens=100,
        cache_creation_input_tokens=40,
        long_cache_creation_input_tokens=25,
        output_tokens=20,
        service_tier="flex",
    )


def test_what_the_input_holds_already_is_not_added_again():
    usage = {"inputTokens": 130, "outputTokens": 20, "totalTokens": 150}

    response = read(answer({"text": "Hi"}, usage=usage | {"cacheReadInputTokens": 100}))

    assert response.usage == Usage(input_tokens=130, cached_input_tokens=100, output_tokens=20)


@pytest.mark.parametrize("usage", [{"inputTokens": -1, "outputTokens": 1}, {"a": 1}, [], "x"])
def test_usage_that_makes_no_sense_is_unknown(usage):
    assert read(answer({"text": "Hi"}, usage=usage)).usage is None


def test_the_model_that_a_router_chose_is_told():
    trace = {"promptRouter": {"invokedModelId": "anthropic.claude-3-haiku"}}

    assert read(answer(trace=trace)).served_model == "anthropic.claude-3-haiku"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'{"message":"no"}',
        b'{"output":{}}',
        answer()[:-1],
        answer({"image": {"format": "png", "source": {"bytes": "AA=="}}}),
        answer({"toolUse": {"toolUseId": "t"}}),
        answer({"toolUse": {"toolUseId": "t", "name": "f", "input": "@"}}).replace(b"@", b"\xff"),
        b'{"output":' + b"[" * 100_000,
    ],
)
def test_what_is_no_answer_is_malformed(body):
    with pytest.raises(MalformedAnswerError):
        read(body)


def test_a_stream_is_read_as_it_comes():
    events = events_of(*WHOLE)

    assert events == [
        Started(id="id-1", served_model=""),
        ReasoningDelta("Paris? "),
        ReasoningDelta("Paris."),
        ReasoningDelta("", signature=b"c2ln", origin=NAME),
        TextDelta("Let me "),
        TextDelta("see."),
        ToolCallDelta(index=0, id="tooluse_1", name="weather"),
        ToolCallDelta(index=0, arguments_fragment='{"city":'),
        ToolCallDelta(index=0, arguments_fragment='"Paris"}'),
        ToolCallDelta(index=1, id="tooluse_2", name="now"),
        Finished(
            reason=FinishReason.TOOL_CALLS,
            usage=Usage(input_tokens=30, output_tokens=20, service_tier="priority"),
        ),
    ]
    check(events)
    wire_grammar.check(b"".join(WHOLE))


@given(read_sizes)
@settings(deadline=None)
def test_a_stream_is_the_same_however_it_is_cut(sizes):
    assert events_of(*split(sizes, b"".join(WHOLE))) == events_of(*WHOLE)


@given(st.integers(0, len(b"".join(WHOLE[:-2]))), read_sizes)
@settings(deadline=None)
def test_a_stream_that_is_cut_off_never_looks_whole(length, sizes):
    one = reader()
    for part in split(sizes, b"".join(WHOLE)[:length]):
        one.feed(part)

    with pytest.raises(CutStreamError):
        one.close()
    assert not one.done


def test_an_answer_without_metadata_is_whole_and_its_usage_unknown():
    events = events_of(START, delta(0, text="Hi"), stop(0), STOP)

    assert events[-1] == Finished(reason=FinishReason.TOOL_CALLS, usage=None)


def test_metadata_within_a_message_is_a_cut():
    one = reader()
    one.feed(b"".join(WHOLE)[:-1])

    with pytest.raises(CutStreamError):
        one.close()


def test_hidden_thoughts_and_citations_are_streamed():
    hidden = {"redactedContent": base64.b64encode(b"\x01\x02").decode()}
    cited = {"title": "T", "sourceContent": [{"text": "q"}], "location": {"web": {"url": "u://x"}}}

    events = events_of(
        START,
        delta(0, reasoningContent=hidden),
        stop(0),
        delta(1, text="Hi"),
        delta(1, citation=cited),
        stop(1),
        STOP,
        END,
    )

    assert events[1:4] == [
        ReasoningDelta("", signature=b"\x01\x02", origin=NAME, is_redacted=True),
        TextDelta("Hi"),
        CitationDelta(Citation(uri="u://x", title="T", quoted="q")),
    ]


def test_what_a_servers_own_tool_does_is_left_out():
    events = events_of(
        START,
        begin_call(0, "s1", "nova_grounding", type="server_tool_use"),
        delta(0, toolUse={"input": "{}"}),
        stop(0),
        begin_call(1, "t1", "mine"),
        stop(1),
        event("tomorrow", contentBlockIndex=1),
        STOP,
        END,
    )

    assert events[1:-1] == [ToolCallDelta(index=0, id="t1", name="mine")]


def test_an_exception_inside_a_stream_ends_it():
    one = reader()
    events = one.feed(START + delta(0, text="Hi"))
    more = one.feed(exception("throttlingException", "Too many tokens") + delta(0, text="!"))

    assert events[-1] == TextDelta("Hi")
    assert more == []
    assert one.error == UpstreamErrorEvent(message="Too many tokens", type="throttlingException")
    assert one.close() == []
    assert not one.done


def test_an_exception_at_the_beginning_is_no_begun_answer():
    one = reader()
    one.feed(exception("modelStreamErrorException", "no"))

    assert not one.started
    assert one.error is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.sampled_from(KINDS), json_values), max_size=6))
@settings(deadline=None)
def test_whatever_the_upstream_says_is_read_or_malformed(said):
    one = reader()
    with suppress(AnswerError):
        for kind, value in said:
            headers = {":message-type": "event", ":event-type": kind}
            one.feed(message(headers, json.dumps(value).encode()))
        one.close()

    assert one.started or not one.done


@given(json_values)
@settings(deadline=None)
def test_whatever_an_answer_holds_is_read_or_malformed(value):
    with suppress(MalformedAnswerError):
        read(answer(value))


def test_a_call_without_a_beginning_is_malformed():
    with pytest.raises(MalformedAnswerError):
        reader().feed(START + delta(0, toolUse={"input": "{}"}))


@pytest.mark.parametrize(
    "pieces",
    [
        WHOLE[1:],
        WHOLE[:-1],
        [*WHOLE, END],
        [START, delta(1, text="Hi"), stop(1), STOP, END],
        [START, delta(0, text="Hi"), STOP, END],
        [START, exception("x", "y"), END],
    ],
)
def test_streams_that_break_the_grammar_are_found_out(pieces):
    with pytest.raises(GrammarError):
        wire_grammar.check(b"".join(pieces))
